"""Opaque access tokens that this simulator recognises again, also after it was killed and restarted."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from pathlib import Path

from simulator.service_accounts import write_private

_PREFIX = "ya29.sim-"
_KEY_BYTES = 32
_DIGEST_BYTES = 16
_MAX_KNOWN = 10_000


class AccessTokens:
    """Issues and checks tokens, each bound to a project. `folder` keeps the key that they are signed with."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "access-token.key"
        if self._path.exists():
            self._key = self._path.read_bytes()
        else:
            self.revoke_all()
        # Clients send the same token thousands of times.
        self._known: dict[str, tuple[str, float]] = {}

    def issue(self, project: str, *, expires_at: float) -> str:
        """`expires_at` is a POSIX time in seconds."""
        content = json.dumps([project, expires_at, secrets.token_hex(8)]).encode()
        return _written(self._digest(content) + content)

    def project_of(self, token: str, *, now: float) -> str | None:
        """None for a token that is not ours, was revoked, or has run out."""
        known = self._known.get(token)
        if known is None:
            known = self._read(token)
            if known is None:
                return None
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[token] = known
        project, expires_at = known
        return project if now < expires_at else None

    def revoke_all(self) -> None:
        """No token issued so far is taken any more, in this process and those that follow it."""
        self._key = secrets.token_bytes(_KEY_BYTES)
        write_private(self._path, self._key)
        self._known = {}

    def _read(self, token: str) -> tuple[str, float] | None:
        if not token.startswith(_PREFIX):
            return None
        try:
            signed = base64.urlsafe_b64decode(token.removeprefix(_PREFIX))
        except (binascii.Error, ValueError):
            return None
        if _written(signed) != token:
            return None
        digest, content = signed[:_DIGEST_BYTES], signed[_DIGEST_BYTES:]
        if not hmac.compare_digest(digest, self._digest(content)):
            return None
        project, expires_at, _ = json.loads(content)
        return project, expires_at

    def _digest(self, content: bytes) -> bytes:
        return hmac.new(self._key, content, hashlib.sha256).digest()[:_DIGEST_BYTES]


def _written(signed: bytes) -> str:
    return _PREFIX + base64.urlsafe_b64encode(signed).decode()
