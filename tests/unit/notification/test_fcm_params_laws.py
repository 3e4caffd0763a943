"""Laws of the check before anything is sent: it refuses or passes, and what passes can be encoded."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from modules.notification.internals.channels.fcm.message_builder import build_message
from modules.notification.internals.channels.fcm.message_encoder import EncodedMessage
from modules.notification.internals.fcm_params import INTERRUPTION_LEVELS
from modules.notification.types import (
    AndroidOptions,
    ApnsOptions,
    OutcomePolicy,
    SendPushParams,
    WebPushOptions,
)
from tests.support.fcm_checks import HALF_A_PAIR, NOW, found, problems_of
from tests.support.fcm_factories import make_params, make_payload

anything = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=5)
    | st.text(st.characters(exclude_categories=[]), max_size=12)
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=3) | st.integers(), st.text(max_size=3) | st.none(), max_size=2)
    | st.datetimes()
    | st.sampled_from(["https://example.com/", "high", "general", "10", "from", HALF_A_PAIR, "\x00"])
)
texts = st.text(max_size=60) | st.text(st.characters(exclude_categories=[]), max_size=400)
names = st.none() | st.text(max_size=20)


def likely(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly right, sometimes anything."""
    return st.integers(0, 9).flatmap(lambda dice: anything if dice == 0 else strategy)


params_strategy = st.builds(
    SendPushParams,
    title=likely(st.none() | texts),
    body=likely(st.none() | texts),
    data=likely(
        st.dictionaries(
            likely(texts).filter(lambda key: not isinstance(key, list | dict)), likely(texts), max_size=6
        )
    ),
    image_url=likely(st.none() | st.just("https://example.com/a.png") | texts),
    click_action=likely(names | st.sampled_from(["https://example.com/", "/a", "shop://a"])),
    category=likely(st.just("general")),
    app_id=likely(names),
    outcome_policy=likely(st.sampled_from(OutcomePolicy)),
    android=likely(
        st.builds(
            AndroidOptions,
            channel_id=likely(names),
            priority=likely(st.sampled_from([None, "normal", "high"])),
            collapse_key=likely(names),
            sound=likely(names),
            click_action=likely(names),
        )
    ),
    apns=likely(
        st.builds(
            ApnsOptions,
            headers=likely(
                st.dictionaries(
                    st.sampled_from(["apns-priority", "apns-topic", "apns-expiration", "X", "Apns-Topic"]),
                    likely(st.sampled_from(["5", "10", "com.example", "1772366400"])),
                    max_size=3,
                )
            ),
            badge=likely(st.none() | st.integers(0, 99)),
            sound=likely(names),
            thread_id=likely(names),
            category=likely(names),
            interruption_level=likely(st.sampled_from([None, *INTERRUPTION_LEVELS])),
        )
    ),
    webpush=likely(st.builds(WebPushOptions, link=likely(st.sampled_from([None, "https://example.com/"])))),
    analytics_label=likely(st.none() | st.from_regex(r"[a-z.~%-]{1,50}", fullmatch=True)),
)


@settings(max_examples=400)
@example(params=make_params(), expires_at=None, target_count=1, immediate=False)
@given(
    params=likely(params_strategy),
    expires_at=likely(st.none() | st.datetimes(timezones=st.timezones() | st.none())),
    target_count=likely(st.none() | st.integers(0, 600)),
    immediate=likely(st.booleans()),
)
def test_nothing_but_a_refusal_is_ever_raised(
    params: Any, expires_at: Any, target_count: Any, immediate: Any
) -> None:
    problems = problems_of(params, expires_at=expires_at, target_count=target_count, immediate=immediate)
    for problem in problems:
        assert problem.field is not None
        problem.field.encode("utf-8")
        problem.reason.encode("utf-8")
        assert "\n" not in problem.field + problem.reason


good_texts = st.text(min_size=1, max_size=900).map(lambda text: f"{text.replace(chr(0), '')}.")
good_names = st.none() | st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=40)
good_params = st.builds(
    SendPushParams,
    title=good_texts,
    body=good_texts,
    data=st.dictionaries(
        st.text(st.characters(categories=["L", "N", "S"]), min_size=1, max_size=20).map(
            # Hypothesis knows the words of the code it tests, the reserved keys among them.
            lambda key: f"k{key}".replace("$", "€")
        ),
        good_texts,
        max_size=4,
    ),
    image_url=st.sampled_from([None, "https://example.com/a.png"]),
    click_action=st.sampled_from([None, "https://example.com/", "/orders/7", "shop://orders/7"]),
    android=st.builds(
        AndroidOptions,
        channel_id=good_names,
        priority=st.sampled_from([None, "normal", "high"]),
        collapse_key=good_names,
        sound=good_names,
        click_action=good_names,
    ),
    apns=st.builds(
        ApnsOptions,
        headers=st.sampled_from([{}, {"apns-priority": "5"}, {"Apns-Push-Type": "alert"}]),
        badge=st.none() | st.integers(0, 2**31 - 1),
        sound=good_names,
        thread_id=good_names,
        category=good_names,
        interruption_level=st.sampled_from([None, "active", "time-sensitive", "critical"]),
    ),
    webpush=st.builds(WebPushOptions, link=st.sampled_from([None, "https://example.com/"])),
    analytics_label=st.none() | st.from_regex(r"[a-zA-Z0-9\-_.~%]{1,50}", fullmatch=True),
)


@settings(max_examples=300)
@given(params=good_params, immediate=st.booleans(), ttl=st.none() | st.integers(1, 2_419_200))
def test_whatever_passes_can_be_encoded_and_is_within_the_limit(
    params: SendPushParams, immediate: bool, ttl: int | None
) -> None:
    expires_at = None if ttl is None else NOW + timedelta(seconds=ttl)
    payload = make_payload(params=params, ttl_seconds=ttl, immediate=immediate, expires_at=expires_at)
    encoded = EncodedMessage(build_message(payload))
    problems = problems_of(params, immediate=immediate, expires_at=expires_at)
    if not problems:
        assert encoded.size_bytes() <= 4096
    else:
        # The check reckons with a longer id and the longest time to live: a few bytes, no more.
        assert {problem.code for problem in problems} == {"payload_too_large"}
        assert encoded.size_bytes() > 4096 - 64


@settings(max_examples=200)
@given(params=params_strategy)
def test_mending_what_was_reported_leaves_nothing_to_report(params: SendPushParams) -> None:
    reported = {str(problem.field).split(".")[0] for problem in problems_of(params)}
    good = make_params()
    names_to_mend = reported & {field.name for field in dataclasses.fields(params)}
    if "click_action" in names_to_mend or params.is_silent:
        names_to_mend |= {"data", "title", "body"}
    if "params" in reported:
        names_to_mend |= {"title", "body", "data"}
    mended = dataclasses.replace(params, **{name: getattr(good, name) for name in names_to_mend})
    assert found(mended) == []
