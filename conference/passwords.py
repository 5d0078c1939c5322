"""Passwords as they are kept: scrypt (RFC 7914), with its cost beside each, so that it can grow."""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from base64 import b64decode, b64encode
from binascii import Error as Base64Error

SHORTEST = 8
LONGEST = 1024

_COST_BITS = 15
_BLOCK = 8
_SALT_BYTES = 16
_HASH_BYTES = 32
_MEMORY = 1 << 28


def hashed(password: str) -> str:
    """`scrypt$15$salt$hash`. Takes some tens of milliseconds and 32 MiB on purpose."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"scrypt${_COST_BITS}${_text(salt)}${_text(_derived(password, salt, _COST_BITS))}"


def matches(password: str, kept: str | None) -> bool:
    """Takes as long for an account without a password (None) as for any other."""
    if kept is None:
        _derived(password, bytes(_SALT_BYTES), _COST_BITS)
        return False
    try:
        kind, bits, salt, expected = kept.split("$")
        found = _derived(password, b64decode(salt), int(bits))
        return kind == "scrypt" and secrets.compare_digest(found, b64decode(expected))
    except (ValueError, Base64Error):
        return False


def _derived(password: str, salt: bytes, bits: int) -> bytes:
    return hashlib.scrypt(
        # keyboards differ in how they write an accent (RFC 8265 section 4.2)
        unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass"),
        salt=salt,
        n=1 << bits,
        r=_BLOCK,
        p=1,
        maxmem=_MEMORY,
        dklen=_HASH_BYTES,
    )


def _text(data: bytes) -> str:
    return b64encode(data).decode()
