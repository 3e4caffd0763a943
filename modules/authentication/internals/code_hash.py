"""Makes a stored one-time password useless to whoever reads the database while the code is valid."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets

SALT_BYTES = 16
# Six digits are a million guesses: an HMAC or SHA-256 is through them in a second. With this cost (33 ms and
# 16 MiB a guess, measured) they take nine core-hours, and a code lives ten minutes.
_SCRYPT_COST = 2**14
_SCRYPT_BLOCK_SIZE = 8
_SCRYPT_MAX_MEMORY_BYTES = 32 * 1024 * 1024


def new_code(digits: int) -> str:
    """A code of so many decimal digits, every one equally likely."""
    return f"{secrets.randbelow(10**digits):0{digits}d}"


def new_salt() -> bytes:
    return secrets.token_bytes(SALT_BYTES)


async def hash_code(code: str, salt: bytes) -> bytes:
    """The code's scrypt hash; computed in a thread, for OpenSSL releases the GIL and the loop goes on."""
    return await asyncio.to_thread(_scrypt, code, salt)


async def code_matches(code: str, *, salt: bytes, code_hash: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(await hash_code(code, salt), code_hash)


def _scrypt(code: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        code.encode("ascii"),
        salt=salt,
        n=_SCRYPT_COST,
        r=_SCRYPT_BLOCK_SIZE,
        p=1,
        maxmem=_SCRYPT_MAX_MEMORY_BYTES,
        dklen=32,
    )
