"""Builds firebase-admin's message out of a payload: which of our words goes where on each platform."""

from __future__ import annotations

import time
from collections.abc import Callable

from firebase_admin import messaging

from modules.notification.internals.channels.fcm.message_encoder import ANY_TARGET
from modules.notification.types import PushPayload, SendPushParams

MAX_TTL_SECONDS = 2_419_200
# APNs refuses a longer apns-collapse-id (Apple, "Sending notification requests to APNs").
MAX_COLLAPSE_ID_BYTES = 64

_APNS_HIGH_PRIORITY = "10"


def build_message(payload: PushPayload, *, clock: Callable[[], float] = time.time) -> messaging.Message:
    """The message for every target of a payload, addressed to the fid ANY_TARGET.

    Raises ValueError when the payload has expired or its id is too long to be a collapse id.
    """
    if len(payload.notification_id.encode("utf-8", "replace")) > MAX_COLLAPSE_ID_BYTES:
        raise ValueError(f"the notification id is longer than {MAX_COLLAPSE_ID_BYTES} bytes")
    ttl_seconds = payload.ttl_seconds
    if ttl_seconds is not None and ttl_seconds < 0:
        raise ValueError("the notification has expired")
    params = payload.params
    return messaging.Message(
        data=dict(params.data) or None,
        notification=messaging.Notification(title=params.title, body=params.body, image=params.image_url),
        android=_android(payload),
        apns=_apns(payload, clock),
        webpush=_webpush(payload),
        fcm_options=_fcm_options(params),
        fid=ANY_TARGET,
    )


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
        notification=messaging.AndroidNotification(
            tag=payload.notification_id,
            channel_id=options.channel_id,
            sound=options.sound,
            click_action=params.click_action,
        ),
    )


def _apns(payload: PushPayload, clock: Callable[[], float]) -> messaging.APNSConfig:
    params, options = payload.params, payload.params.apns
    headers = {"apns-collapse-id": payload.notification_id}
    if payload.immediate:
        headers["apns-priority"] = _APNS_HIGH_PRIORITY
    expiration = _apns_expiration(payload, clock)
    if expiration is not None:
        headers["apns-expiration"] = str(expiration)
    headers.update({name.lower(): value for name, value in options.headers.items()})
    return messaging.APNSConfig(
        headers=headers,
        payload=messaging.APNSPayload(
            aps=messaging.Aps(
                badge=options.badge,
                sound=options.sound,
                thread_id=options.thread_id,
                # What FCM itself made of click_action before HTTP v1.
                category=params.click_action,
                # Without it iOS does not let the app's extension fetch the image.
                mutable_content=True if params.image_url is not None else None,
            )
        ),
    )


def _apns_expiration(payload: PushPayload, clock: Callable[[], float]) -> int | None:
    if payload.expires_at is not None:
        return int(payload.expires_at.timestamp())
    return None if payload.ttl_seconds is None else int(clock()) + payload.ttl_seconds


def _webpush(payload: PushPayload) -> messaging.WebpushConfig:
    params, ttl_seconds = payload.params, _ttl_seconds(payload)
    headers = {"Urgency": "high"} if payload.immediate else {}
    if ttl_seconds is not None:
        headers["TTL"] = str(ttl_seconds)
    link = params.webpush.link or _web_link(params.click_action)
    return messaging.WebpushConfig(
        headers=headers or None,
        notification=messaging.WebpushNotification(tag=payload.notification_id),
        fcm_options=messaging.WebpushFCMOptions(link=link) if link is not None else None,
    )


def _web_link(click_action: str | None) -> str | None:
    # FCM takes https links only; a path or an intent name means nothing to a browser.
    return click_action if click_action is not None and click_action.startswith("https://") else None
