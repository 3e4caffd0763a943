"""Builds firebase-admin's message out of a payload: which of our words goes where on each platform."""

from __future__ import annotations

import time
from collections.abc import Callable

from firebase_admin import messaging

from modules.notification.internals.channels.fcm.click_target import DATA_KEY, is_openable, web_link
from modules.notification.internals.channels.fcm.message_encoder import ANY_TARGET
from modules.notification.internals.channels.fcm.silent_rules import BACKGROUND, BACKGROUND_PRIORITY
from modules.notification.types import ApnsOptions, PushPayload, SendPushParams

# FCM HTTP v1, "AndroidConfig.ttl": four weeks.
MAX_TTL_SECONDS = 2_419_200
# APNs refuses a longer apns-collapse-id (Apple, "Sending notification requests to APNs").
MAX_COLLAPSE_ID_BYTES = 64

_APNS_HIGH_PRIORITY = "10"
_LOUDEST = 1.0


def build_message(
    payload: PushPayload, *, link_base: str | None = None, clock: Callable[[], float] = time.time
) -> messaging.Message:
    """The message for every target of a payload, addressed to the fid ANY_TARGET.

    A browser is given a path of `click_action` behind `link_base`, an https address without a slash at its
    end. Raises ValueError when the payload has expired or its id is too long to be a collapse id.
    """
    if len(payload.notification_id.encode("utf-8", "replace")) > MAX_COLLAPSE_ID_BYTES:
        raise ValueError(f"the notification id is longer than {MAX_COLLAPSE_ID_BYTES} bytes")
    ttl_seconds = payload.ttl_seconds
    if ttl_seconds is not None and ttl_seconds < 0:
        raise ValueError("the notification has expired")
    params = payload.params
    return messaging.Message(
        data=_data(params) or None,
        notification=None
        if params.is_silent
        else messaging.Notification(title=params.title, body=params.body, image=params.image_url),
        android=_android(payload),
        apns=_apns(payload, clock),
        webpush=_webpush(payload, link_base),
        fcm_options=_fcm_options(params),
        fid=ANY_TARGET,
    )


def _data(params: SendPushParams) -> dict[str, str]:
    """The caller's data, and what a tap opens; in rows stored before the two could differ, the caller's."""
    if params.click_action is None or not is_openable(params.click_action):
        return dict(params.data)
    return {DATA_KEY: params.click_action, **params.data}


def _named_action(params: SendPushParams) -> str | None:
    """The name that rows stored before have as `click_action`: an intent filter's, and a category's."""
    action = params.click_action
    return None if action is None or is_openable(action) or ":" in action else action


def _ttl_seconds(payload: PushPayload) -> int | None:
    return None if payload.ttl_seconds is None else min(payload.ttl_seconds, MAX_TTL_SECONDS)


def _fcm_options(params: SendPushParams) -> messaging.FCMOptions | None:
    return messaging.FCMOptions(params.analytics_label) if params.analytics_label is not None else None


def _android(payload: PushPayload) -> messaging.AndroidConfig:
    params, options = payload.params, payload.params.android
    return messaging.AndroidConfig(
        # Left to the caller: FCM keeps at most four collapse keys a device, one a message would drop others.
        collapse_key=options.collapse_key,
        priority=options.priority or ("high" if payload.immediate else None),
        ttl=_ttl_seconds(payload),
        # With a notification of its own the message would be shown, and the app not asked.
        notification=None
        if params.is_silent
        else messaging.AndroidNotification(
            tag=payload.notification_id,
            channel_id=options.channel_id,
            sound=options.sound,
            # Without one a tap starts the launcher's activity, with `data` as extras.
            click_action=options.click_action or _named_action(params),
        ),
    )


def _apns(payload: PushPayload, clock: Callable[[], float]) -> messaging.APNSConfig:
    params, options = payload.params, payload.params.apns
    headers = {"apns-collapse-id": payload.notification_id}
    if params.is_silent:
        headers |= {"apns-push-type": BACKGROUND, "apns-priority": BACKGROUND_PRIORITY}
    elif payload.immediate:
        headers["apns-priority"] = _APNS_HIGH_PRIORITY
    expiration = _apns_expiration(payload, clock)
    if expiration is not None:
        headers["apns-expiration"] = str(expiration)
    headers.update({name.lower(): value for name, value in options.headers.items()})
    aps = messaging.Aps(content_available=True) if params.is_silent else _shown_aps(params)
    return messaging.APNSConfig(headers=headers, payload=messaging.APNSPayload(aps=aps))


def _shown_aps(params: SendPushParams) -> messaging.Aps:
    options = params.apns
    level = options.interruption_level
    return messaging.Aps(
        badge=options.badge,
        sound=_sound(options),
        thread_id=options.thread_id,
        category=options.category or _named_action(params),
        # Without it iOS does not let the app's extension fetch the image.
        mutable_content=True if params.image_url is not None else None,
        custom_data=None if level is None else {"interruption-level": level},
    )


def _sound(options: ApnsOptions) -> str | messaging.CriticalSound | None:
    """A critical alert's sound is a dictionary, or the mute switch silences it (Apple, "Generating a remote
    notification").
    """
    if options.interruption_level != "critical" or options.sound is None:
        return options.sound
    return messaging.CriticalSound(options.sound, critical=True, volume=_LOUDEST)


def _apns_expiration(payload: PushPayload, clock: Callable[[], float]) -> int | None:
    if payload.expires_at is not None:
        return int(payload.expires_at.timestamp())
    return None if payload.ttl_seconds is None else int(clock()) + payload.ttl_seconds


def _webpush(payload: PushPayload, link_base: str | None) -> messaging.WebpushConfig:
    params, ttl_seconds = payload.params, _ttl_seconds(payload)
    headers = {"Urgency": "high"} if payload.immediate else {}
    if ttl_seconds is not None:
        headers["TTL"] = str(ttl_seconds)
    if params.is_silent:
        return messaging.WebpushConfig(headers=headers or None)
    link = params.webpush.link or web_link(params.click_action, link_base)
    return messaging.WebpushConfig(
        headers=headers or None,
        notification=messaging.WebpushNotification(tag=payload.notification_id),
        fcm_options=messaging.WebpushFCMOptions(link=link) if link is not None else None,
    )
