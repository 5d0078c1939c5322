"""Connectivity checks as an ICE-lite agent sees them (RFC 8445, RFC 8489). Pure: bytes in, bytes out.

A lite agent sends no checks of its own. It answers Binding requests, learns the client's addresses from
them, and follows the pair that the client nominates. What is not a well-formed, authentic request gets no
answer at all, so that a forged source address receives nothing from us.
"""

from __future__ import annotations

from struct import unpack_from

import msgspec
from aioice import stun

from sfu.path import Address

_HEADER = 20
_COOKIE = 0x2112A442
_MAX_LENGTH = 1024
"""Browsers' checks have 80 to 130 bytes; what is much longer is not one."""

# aioice unpacks these with a fixed format and lets struct.error out when the size differs.
_FIXED_SIZES = {
    0x0003: 4,  # CHANGE-REQUEST
    0x000C: 4,  # CHANNEL-NUMBER
    0x000D: 4,  # LIFETIME
    0x0019: 4,  # REQUESTED-TRANSPORT
    0x0024: 4,  # PRIORITY
    0x0025: 0,  # USE-CANDIDATE
    0x0008: 20,  # MESSAGE-INTEGRITY
    0x8028: 4,  # FINGERPRINT
    0x8029: 8,  # ICE-CONTROLLED
    0x802A: 8,  # ICE-CONTROLLING
}
_UNUSED = frozenset({0x0009, 0x0012, 0x0016})
"""ERROR-CODE, XOR-PEER-ADDRESS and XOR-RELAYED-ADDRESS have no place in a Binding request."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed Binding request with credentials; authentic only once `authentic` says so."""

    local_ufrag: str
    """Ours: the first half of USERNAME."""
    nominated: bool
    """USE-CANDIDATE is present."""
    claims_controlled: bool
    """The client believes that it is the controlled side; a lite agent can't be the controlling one."""
    message: stun.Message


def parse(data: bytes) -> Check:
    """Read a Binding request. Raises ValueError for anything else, naming what is wrong."""
    _check_bounds(data)
    message = stun.parse_message(data)
    if message.message_method != stun.Method.BINDING:
        raise ValueError("not a Binding message")
    if message.message_class != stun.Class.REQUEST:
        raise ValueError("not a request")
    if "MESSAGE-INTEGRITY" not in message.attributes:
        raise ValueError("MESSAGE-INTEGRITY missing")
    username = message.attributes.get("USERNAME", "")
    local_ufrag, colon, _ = username.partition(":")
    if not colon:
        raise ValueError("USERNAME is not a pair of fragments")
    return Check(
        local_ufrag=local_ufrag,
        nominated="USE-CANDIDATE" in message.attributes,
        claims_controlled="ICE-CONTROLLED" in message.attributes,
        message=message,
    )


def authentic(check: Check, password: str) -> bool:
    """Whether the request was signed with our password (short-term credentials, RFC 8489 section 9.1)."""
    return check.message.check_message_integrity(password.encode())


def success(check: Check, source: Address, password: str) -> bytes:
    """The answer to an authentic check: the address it came from, signed."""
    response = _reply(check, stun.Class.RESPONSE)
    response.attributes["XOR-MAPPED-ADDRESS"] = source[:2]
    response.add_message_integrity(password.encode())
    return bytes(response)


def role_conflict(check: Check, password: str) -> bytes:
    """487: makes the client take the controlling role (RFC 8445 section 7.3.1.1)."""
    response = _reply(check, stun.Class.ERROR)
    response.attributes["ERROR-CODE"] = (487, "Role Conflict")
    response.add_message_integrity(password.encode())
    return bytes(response)


def _reply(check: Check, message_class: stun.Class) -> stun.Message:
    return stun.Message(
        message_method=stun.Method.BINDING,
        message_class=message_class,
        transaction_id=check.message.transaction_id,
    )


def _check_bounds(data: bytes) -> None:
    """Header, cookie, and every attribute inside the datagram, before anything interprets them."""
    if not _HEADER <= len(data) <= _MAX_LENGTH:
        raise ValueError("length out of range")
    kind, length, cookie = unpack_from("!HHI", data)
    if kind & 0xC000:
        raise ValueError("not STUN")
    if cookie != _COOKIE:
        raise ValueError("wrong magic cookie")
    if length % 4 or length != len(data) - _HEADER:
        raise ValueError("length does not match")
    position = _HEADER
    while position < len(data):
        position = _check_attribute(data, position)


def _check_attribute(data: bytes, position: int) -> int:
    """Check one attribute; where the next one begins."""
    kind: int
    size: int
    kind, size = unpack_from("!HH", data, position)
    end = position + 4 + size
    if end > len(data):
        raise ValueError(f"attribute 0x{kind:04x} is truncated")
    if _FIXED_SIZES.get(kind, size) != size:
        raise ValueError(f"attribute 0x{kind:04x} has the wrong size")
    if kind in _UNUSED:
        raise ValueError(f"attribute 0x{kind:04x} in a request")
    return end + -size % 4
