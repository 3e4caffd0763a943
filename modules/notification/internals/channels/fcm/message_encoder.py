"""Puts a message on the wire in firebase-admin's own encoding, made once for all targets."""

from __future__ import annotations

import json
import secrets
from typing import Final, Literal

from firebase_admin import messaging

from modules.device_token.types import TargetKind

TOPIC: Final = "topic"
# Stands where the target goes, as firebase-admin encodes no message without one; nobody's text can repeat it.
ANY_TARGET: Final = f"any-target-{secrets.token_hex(16)}"

_TARGET_MEMBER = f'"fid": "{ANY_TARGET}"'
_MEMBERS = (*TargetKind, TOPIC)


class EncodedMessage:
    """The request body for any target of one message, which has to be addressed to the fid ANY_TARGET.

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

    def body_for(self, member: TargetKind | Literal["topic"], address: str) -> bytes:
        """The whole request body for one device, or for a topic."""
        return f"{self._openings[member]}{json.dumps(address)}{self._closing}".encode()

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
