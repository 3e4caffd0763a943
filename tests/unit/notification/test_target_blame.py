"""Who is to blame when a message is refused as invalid."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from modules.device_token.types import Platform
from modules.notification.internals.guards.target_blame import (
    KEPT_CONTENTS,
    KEPT_SECONDS,
    SPIKE_SENDS,
    SPIKE_SHARE,
    Spike,
    TargetBlame,
)
from modules.notification.types import (
    BroadcastKind,
    Classification,
    Outcome,
    PushTarget,
    Suspect,
    TargetAction,
    TargetResult,
)
from tests.support.fcm_factories import make_target

TARGET = make_target()
ACCEPTED = Classification(outcome=Outcome.ACCEPTED, code="OK", reason="taken")
UNCLEAR = Classification(
    outcome=Outcome.PERMANENT,
    code="INVALID_ARGUMENT",
    reason="refused as invalid",
    suspect=Suspect.MESSAGE_OR_TARGET,
)
NAMED = Classification(
    outcome=Outcome.PERMANENT, code="INVALID_ARGUMENT", reason="refused as invalid", suspect=Suspect.TARGET
)
OTHERS = [
    Classification(outcome=outcome, code="ANY", reason="something else")
    for outcome in Outcome
    if outcome is not Outcome.ACCEPTED
]

verdicts = st.sampled_from([ACCEPTED, UNCLEAR, NAMED, *OTHERS])


def result_of(verdict: Classification) -> TargetResult:
    return TargetResult(device_id="device-1", classification=verdict)


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def judged_page(blame: TargetBlame, page: Sequence[Classification]) -> list[TargetResult]:
    """What one page came to: all is noted before anything is judged."""
    results = [result_of(verdict) for verdict in page]
    for result in results:
        blame.note("content", TARGET, result)
    return [blame.judged("content", TARGET, result) for result in results]


def is_blamed(result: TargetResult) -> bool:
    return result.classification.target_action is TargetAction.QUARANTINE


def test_who_refuses_what_others_accepted_is_quarantined() -> None:
    results = judged_page(TargetBlame(), [ACCEPTED, UNCLEAR])
    assert [each.outcome for each in results] == [Outcome.ACCEPTED, Outcome.TARGET_DEAD]
    blamed = results[1].classification
    assert (blamed.target_action, blamed.code) == (TargetAction.QUARANTINE, "INVALID_ARGUMENT")
    assert "others accepted" in blamed.reason


def test_a_refusal_without_others_keeps_its_target_unless_the_provider_names_it() -> None:
    assert judged_page(TargetBlame(), [UNCLEAR]) == [result_of(UNCLEAR)]
    [named] = judged_page(TargetBlame(), [NAMED])
    assert is_blamed(named)
    assert is_blamed(TargetBlame().judged(None, TARGET, result_of(NAMED))), "also without a content"


def test_who_takes_another_content_app_or_platform_says_nothing() -> None:
    for key, other in (
        ("another", TARGET),
        ("content", make_target(app_id="shop")),
        ("content", make_target(platform=Platform.IOS)),
        (None, TARGET),
    ):
        blame = TargetBlame()
        blame.note(key, other, result_of(ACCEPTED))
        assert not is_blamed(blame.judged("content", TARGET, result_of(UNCLEAR)))


def test_a_broadcast_has_no_target_to_blame() -> None:
    topic = PushTarget(
        device_id="topic:news", app_id="default", kind=BroadcastKind.TOPIC, platform=None, address="news"
    )
    blame = TargetBlame()
    blame.note("content", topic, result_of(ACCEPTED))
    for verdict in (UNCLEAR, NAMED):
        assert blame.judged("content", topic, result_of(verdict)) == result_of(verdict)


def test_a_spike_is_told_once_and_blames_nobody() -> None:
    blame = TargetBlame()
    page = [ACCEPTED] * SPIKE_SENDS + [NAMED] * SPIKE_SENDS
    told = [blame.note("content", TARGET, result_of(verdict)) for verdict in page]
    [spike] = [each for each in told if each is not None]
    assert spike == Spike(app_id="default", platform=Platform.ANDROID, refused=6, sends=SPIKE_SENDS + 6)
    assert not is_blamed(blame.judged("content", TARGET, result_of(NAMED)))


def test_a_spike_that_an_accepted_message_completes_is_told_too() -> None:
    blame = TargetBlame()
    page = [NAMED] * 5 + [ACCEPTED] * (SPIKE_SENDS - 5)
    told = [blame.note("content", TARGET, result_of(verdict)) for verdict in page]
    assert told[:-1] == [None] * (SPIKE_SENDS - 1)
    assert told[-1] == Spike(app_id="default", platform=Platform.ANDROID, refused=5, sends=SPIKE_SENDS)


def test_what_was_accepted_long_ago_is_forgotten() -> None:
    clock = Clock()
    blame = TargetBlame(clock=clock)
    blame.note("content", TARGET, result_of(ACCEPTED))
    clock.seconds = KEPT_SECONDS + 1
    assert blame.judged("content", TARGET, result_of(UNCLEAR)) == result_of(UNCLEAR)


def test_only_so_many_contents_are_remembered() -> None:
    blame = TargetBlame()
    for number in range(KEPT_CONTENTS + 1):
        blame.note(f"content-{number}", TARGET, result_of(ACCEPTED))
    assert not is_blamed(blame.judged("content-0", TARGET, result_of(UNCLEAR)))
    assert is_blamed(blame.judged("content-1", TARGET, result_of(UNCLEAR)))


def test_more_answers_can_only_help_where_nobody_has_accepted_and_few_were_asked() -> None:
    blame, refusal = TargetBlame(), result_of(UNCLEAR)
    assert not blame.is_undecided("content", TARGET, result_of(ACCEPTED))
    assert not blame.is_undecided(None, TARGET, refusal)
    blame.note("content", TARGET, refusal)
    assert blame.is_undecided("content", TARGET, refusal)
    blame.note("content", TARGET, result_of(ACCEPTED))
    assert not blame.is_undecided("content", TARGET, refusal)

    refused_by_all = TargetBlame()
    for _ in range(SPIKE_SENDS):
        refused_by_all.note("content", TARGET, refusal)
    assert not refused_by_all.is_undecided("content", TARGET, refusal)


@given(st.lists(verdicts, max_size=80))
def test_only_refusals_are_judged_and_never_against_the_evidence(page: list[Classification]) -> None:
    results = judged_page(TargetBlame(), page)
    accepted = page.count(ACCEPTED)
    refused = page.count(UNCLEAR) + page.count(NAMED)
    spike = refused + accepted >= SPIKE_SENDS and refused > SPIKE_SHARE * (refused + accepted)
    assert len(results) == len(page)
    for verdict, result in zip(page, results, strict=True):
        if verdict.suspect is None or spike:
            assert result.classification == verdict
        elif verdict is NAMED or accepted:
            assert is_blamed(result)
            assert result.outcome is Outcome.TARGET_DEAD
        else:
            assert result.classification == verdict
