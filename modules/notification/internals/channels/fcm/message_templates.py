"""Encodes what many notifications share once: rows of one content differ in their id alone."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from modules.notification.internals.channels.fcm.message_builder import MAX_COLLAPSE_ID_BYTES, build_message
from modules.notification.internals.channels.fcm.message_encoder import ANY_ID, EncodedMessage
from modules.notification.types import PushPayload

KEPT_TEMPLATES = 128

_Key = tuple[object, ...]


class MessageTemplates:
    """The messages encoded last, by all that is in them but the id; without a content key none is shared."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, EncodedMessage] = OrderedDict()

    def encoded(self, payload: PushPayload, link_base: str | None = None) -> EncodedMessage:
        """The message of the payload, with ANY_ID for its id; raises ValueError as `build_message` does."""
        if len(payload.notification_id.encode("utf-8", "replace")) > MAX_COLLAPSE_ID_BYTES:
            raise ValueError(f"the notification id is longer than {MAX_COLLAPSE_ID_BYTES} bytes")
        if payload.content_key is None:
            return _encoded(payload, link_base)
        key = (payload.content_key, payload.immediate, payload.ttl_seconds, payload.expires_at, link_base)
        message = self._kept.get(key)
        if message is None:
            message = self._kept[key] = _encoded(payload, link_base)
            if len(self._kept) > KEPT_TEMPLATES:
                self._kept.popitem(last=False)
        return message


def _encoded(payload: PushPayload, link_base: str | None) -> EncodedMessage:
    return EncodedMessage(build_message(replace(payload, notification_id=ANY_ID), link_base=link_base))
