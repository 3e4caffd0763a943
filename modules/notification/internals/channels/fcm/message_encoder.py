"""Puts a message on the wire in firebase-admin's own encoding, made once for all targets."""

from __future__ import annotations

import json
import secrets
from typing import Final

from firebase_admin import messaging

from modules.device_token.types import TargetKind
from modules.notification.types import BroadcastKind

# Stand where target and id go, as firebase-admin encodes no message without a target; nobody's text can
# repeat them. The id is as long as a row's.
ANY_TARGET: Final = f"any-target-{secrets.token_hex(16)}"
ANY_ID: Final = secrets.token_hex(12)

_TARGET_MEMBER = f'"fid": "{ANY_TARGET}"'
_MEMBERS = (*TargetKind, *BroadcastKind)


class EncodedMessage:
    """The request body for any target and id of one message, which has to be addressed to the fid ANY_TARGET.

    Raises ValueError for what firebase-admin refuses to encode.
    """

    def __init__(self, message: messaging.Message, *, validate_only: bool = False) -> None:
        self._text = str(message)
        before, target, after = self._text.partition(_TARGET_MEMBER)
        if not target:
            raise ValueError("the message is not addressed to ANY_TARGET")
        opening = f'{{"message": {before}"'
        self._openings = {member: f'{opening}{member}": ' for member in _MEMBERS}
        self._closing = f'{after}, "validate_only": true}}' if validate_only else f"{after}}}"

    def body_for(self, member: TargetKind | BroadcastKind, address: str, message_id: str = ANY_ID) -> bytes:
        """The whole request body for one device, topic or condition; `message_id` stands where ANY_ID did."""
        text = f"{self._openings[member]}{json.dumps(address)}{self._closing}"
        return text.replace(ANY_ID, message_id).encode()

    def size_bytes(self) -> int:
        """What the message object without its target takes as compact JSON in UTF-8.

        Raises ValueError for text that UTF-8 cannot carry.
        """
        document = json.loads(self._text)
        del document["fid"]
        return len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))

    def is_surely_within(self, limit_bytes: int) -> bool:
        """Whether it is that small without measuring: the encoding on the wire is never shorter."""
        return len(self._text) - len(_TARGET_MEMBER) <= limit_bytes
