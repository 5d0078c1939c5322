"""Checks as no library would write them: any attributes, in any place."""

from __future__ import annotations

import hmac
import struct

Attribute = tuple[int, bytes]


def written(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def signed_check(
    username: str,
    password: str,
    *,
    attributes: tuple[Attribute, ...] = (),
    behind: tuple[Attribute, ...] = (),
    transaction: bytes = b"transaction!",
) -> bytes:
    """`behind`: what follows the signature."""
    body = written(6, username.encode()) + b"".join(written(*item) for item in attributes)
    head = struct.pack("!HHI", 1, len(body) + 24, 0x2112A442) + transaction
    body += written(8, hmac.digest(password.encode(), head + body, "sha1"))
    body += b"".join(written(*item) for item in behind)
    return struct.pack("!HHI", 1, len(body), 0x2112A442) + transaction + body
