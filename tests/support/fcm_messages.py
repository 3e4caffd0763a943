"""Every message that firebase-admin can express, made by hypothesis."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

from firebase_admin import messaging
from hypothesis import strategies as st

texts = st.text(max_size=20)
some_texts = st.text(min_size=1, max_size=20)
maps = st.dictionaries(texts, texts, max_size=3)
json_values = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda children: st.lists(children, max_size=2) | st.dictionaries(texts, children, max_size=2),
    max_leaves=4,
)
labels = st.from_regex(r"[a-zA-Z0-9\-_.~%]{1,50}", fullmatch=True)
milliseconds = st.integers(0, 10**7) | st.timedeltas(timedelta(), timedelta(hours=1))
colors = st.from_regex(r"#[0-9a-fA-F]{6}", fullmatch=True)


def optional(required: dict[str, Any] | None = None, /, **members: st.SearchStrategy[Any]) -> Any:
    return st.fixed_dictionaries(required or {}, optional=members)


def made(kind: Any, required: dict[str, Any] | None = None, /, **members: st.SearchStrategy[Any]) -> Any:
    return optional(required, **members).map(lambda arguments: kind(**arguments))


android_notifications = made(
    messaging.AndroidNotification,
    **dict.fromkeys(
        ["title", "body", "icon", "sound", "tag", "click_action", "channel_id", "image", "ticker"], texts
    ),
    color=colors,
    body_loc_key=some_texts,
    title_loc_key=some_texts,
    sticky=st.booleans(),
    event_timestamp=st.datetimes() | st.datetimes(timezones=st.just(UTC)),
    local_only=st.booleans(),
    priority=st.sampled_from(["default", "min", "low", "high", "max"]),
    vibrate_timings_millis=st.lists(st.integers(0, 10**6), max_size=3),
    default_vibrate_timings=st.booleans(),
    default_sound=st.booleans(),
    light_settings=made(
        messaging.LightSettings,
        {
            "color": colors | st.from_regex(r"#[0-9a-fA-F]{8}", fullmatch=True),
            "light_on_duration_millis": milliseconds,
            "light_off_duration_millis": milliseconds,
        },
    ),
    visibility=st.sampled_from(["private", "public", "secret"]),
    notification_count=st.integers(0, 99),
    proxy=st.sampled_from(["allow", "deny", "if_priority_lowered"]),
)
android_configs = made(
    messaging.AndroidConfig,
    collapse_key=texts,
    priority=st.sampled_from(["high", "normal"]),
    ttl=st.integers(0, 2_419_200) | st.floats(0, 2_419_200) | st.timedeltas(timedelta(), timedelta(days=28)),
    restricted_package_name=texts,
    data=maps,
    notification=android_notifications,
    fcm_options=made(messaging.AndroidFCMOptions, analytics_label=labels),
    direct_boot_ok=st.booleans(),
)
aps_alerts = made(
    messaging.ApsAlert,
    **dict.fromkeys(
        ["title", "subtitle", "body", "loc_key", "title_loc_key", "action_loc_key", "launch_image"], texts
    ),
)
apns_configs = made(
    messaging.APNSConfig,
    headers=maps,
    payload=made(
        messaging.APNSPayload,
        {
            "aps": made(
                messaging.Aps,
                alert=texts | aps_alerts,
                badge=st.integers(0, 99),
                sound=some_texts
                | made(
                    messaging.CriticalSound,
                    {"name": some_texts},
                    critical=st.booleans(),
                    volume=st.floats(0, 1),
                ),
                content_available=st.booleans(),
                category=texts,
                thread_id=texts,
                mutable_content=st.booleans(),
                custom_data=st.dictionaries(some_texts.map(lambda key: f"x-{key}"), json_values, max_size=2),
            )
        },
        custom=json_values,
    ),
    fcm_options=made(messaging.APNSFCMOptions, analytics_label=labels, image=texts),
)
webpush_configs = made(
    messaging.WebpushConfig,
    headers=maps,
    data=maps,
    notification=made(
        messaging.WebpushNotification,
        **dict.fromkeys(["title", "body", "icon", "badge", "image", "language", "tag"], texts),
        actions=st.lists(
            made(messaging.WebpushNotificationAction, {"action": texts, "title": texts}, icon=texts),
            max_size=2,
        ),
        data=json_values,
        direction=st.sampled_from(["auto", "ltr", "rtl"]),
        renotify=st.booleans(),
        timestamp_millis=st.integers(0, 2**53),
        vibrate=st.lists(st.integers(0, 1000), max_size=3),
        custom_data=st.dictionaries(some_texts.map(lambda key: f"x-{key}"), json_values, max_size=2),
    ),
    fcm_options=made(messaging.WebpushFCMOptions, link=texts.map(lambda path: f"https://example.com/{path}")),
)
# The arguments of messaging.Message and messaging.MulticastMessage, without a target.
message_arguments = optional(
    data=maps,
    notification=made(messaging.Notification, title=texts, body=texts, image=texts),
    android=android_configs,
    apns=apns_configs,
    webpush=webpush_configs,
    fcm_options=made(messaging.FCMOptions, analytics_label=labels),
)
addresses = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
