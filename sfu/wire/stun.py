"""Connectivity checks as an ICE-lite agent sees them (RFC 8445, RFC 8489). Pure: bytes in, bytes out.

It answers Binding requests, learns the client's addresses from them, and follows the pair that the client
nominates. A lite agent need not send checks; one is sent to each new address all the same, since only its answer
shows that the client is there (RFC 8445 section 19.5.1). What is not a well-formed, authentic request gets no answer
at all, so that a forged source address receives nothing from us.
"""

from __future__ import annotations

import binascii
import hmac
import socket
from collections.abc import Iterator
from functools import lru_cache
from struct import Struct

import msgspec

from sfu.wire.address import Address

_HEADER = Struct("!HHI12s")
_ATTRIBUTE = Struct("!HH")
_COOKIE = 0x2112A442
_MAX_LENGTH = 1024
"""Browsers' checks have 80 to 130 bytes; what is much longer is not one."""

_REQUEST, _SUCCESS, _ERROR = 0x0001, 0x0101, 0x0111
"""Of the Binding method (RFC 8489 section 5)."""
_CLASS_BITS = 0x0110

_OPTIONAL = 0x8000
"""Types from here on may be passed over by who does not know them (RFC 8489 section 14)."""
_USERNAME = 0x0006
_MESSAGE_INTEGRITY = 0x0008
_ERROR_CODE = 0x0009
_UNKNOWN_ATTRIBUTES = 0x000A
_XOR_MAPPED_ADDRESS = 0x0020
_PRIORITY = 0x0024
_USE_CANDIDATE = 0x0025
_FINGERPRINT = 0x8028
_ICE_CONTROLLED = 0x8029
_SIGNATURE = 20
_FINGERPRINT_XOR = 0x5354554E
_PEER_REFLEXIVE = (110 << 24) | (0xFFFF << 8) | 255
"""PRIORITY of what an address would be that the client learned from our check (RFC 8445 section 5.1.2.1)."""
_LISTED = 32
"""Unknown attributes that are named in an answer; who has more learns of the rest later."""

_FIXED_SIZES = {
    _PRIORITY: 4,
    _USE_CANDIDATE: 0,
    _MESSAGE_INTEGRITY: _SIGNATURE,
    _FINGERPRINT: 4,
    _ICE_CONTROLLED: 8,
    0x802A: 8,  # ICE-CONTROLLING
}
_KNOWN = frozenset(
    {_USERNAME, _MESSAGE_INTEGRITY, _PRIORITY, _USE_CANDIDATE}
    # Known, and without a meaning in a request, so passed over (RFC 8489 section 6.3): MAPPED-ADDRESS, REALM, NONCE.
    | {_ERROR_CODE, _UNKNOWN_ATTRIBUTES, _XOR_MAPPED_ADDRESS, 0x0001, 0x0014, 0x0015}
)
"""Of the attributes that have to be understood."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed Binding request with credentials; authentic only once `authentic` says so."""

    local_ufrag: str
    """Ours: the first half of USERNAME."""
    nominated: bool
    """USE-CANDIDATE is present."""
    claims_controlled: bool
    """The client believes that it is the controlled side; a lite agent can't be the controlling one."""
    unknown: tuple[int, ...] = ()
    """Types of signed attributes that would have to be understood and are not."""
    transaction: bytes
    signed: bytes
    """What MESSAGE-INTEGRITY covers."""
    signature: bytes


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed answer to a Binding request; authentic only once `authentic` says so."""

    transaction: bytes
    signed: bytes
    signature: bytes


def parse(data: bytes) -> Check:
    """Read a Binding request. Raises ValueError for anything else, naming what is wrong."""
    kind, transaction = _read_header(data)
    if kind & ~_CLASS_BITS != _REQUEST:
        raise ValueError("not a Binding message")
    if kind != _REQUEST:
        raise ValueError("not a request")
    found, signed = _read_attributes(data)
    local_ufrag, colon, _ = found.get(_USERNAME, b"").decode().partition(":")
    if not colon:
        raise ValueError("USERNAME is not a pair of fragments")
    return Check(
        local_ufrag=local_ufrag,
        nominated=_USE_CANDIDATE in found,
        claims_controlled=_ICE_CONTROLLED in found,
        unknown=tuple(kind for kind in found if kind < _OPTIONAL and kind not in _KNOWN),
        transaction=transaction,
        signed=signed,
        signature=found[_MESSAGE_INTEGRITY],
    )


def is_response(data: bytes) -> bool:
    """Whether it says of itself that it answers something: a success or an error."""
    return len(data) >= 2 and data[0] == 0x01


def parse_response(data: bytes) -> Response:
    """Read a success response to a Binding request. Raises ValueError for anything else."""
    kind, transaction = _read_header(data)
    if kind != _SUCCESS:
        raise ValueError("not a success response to a Binding request")
    found, signed = _read_attributes(data)
    return Response(transaction=transaction, signed=signed, signature=found[_MESSAGE_INTEGRITY])


def authentic(message: Check | Response, password: str) -> bool:
    """Whether it was signed with this password (short-term credentials, RFC 8489 section 9.1).

    Of a request that is ours, of a response the client's: it is of whom the request asked.
    """
    return hmac.compare_digest(message.signature, _signature(message.signed, password))


def request(username: str, password: str, transaction: bytes, tie_breaker: int) -> bytes:
    """A check of ours. `username` is the client's fragment, a colon and ours; the password is the client's."""
    attributes = (
        _attribute(_USERNAME, username.encode())
        + _attribute(_PRIORITY, _PEER_REFLEXIVE.to_bytes(4, "big"))
        + _attribute(_ICE_CONTROLLED, tie_breaker.to_bytes(8, "big"))
    )
    return _message(_REQUEST, transaction, attributes, password)


def success(check: Check, source: Address, password: str) -> bytes:
    """The answer to an authentic check: the address it came from, signed."""
    mapped = _attribute(_XOR_MAPPED_ADDRESS, _xored(source, check.transaction))
    return _reply(_SUCCESS, check, mapped, password)


def role_conflict(check: Check, password: str) -> bytes:
    """487: makes the client take the controlling role (RFC 8445 section 7.3.1.1)."""
    error = _attribute(_ERROR_CODE, b"\0\0\x04\x57" + b"Role Conflict")
    return _reply(_ERROR, check, error, password)


def unknown_attributes(check: Check, password: str) -> bytes:
    """420, and which they are (RFC 8489 sections 6.3.1, 14.13)."""
    listed = b"".join(kind.to_bytes(2, "big") for kind in check.unknown[:_LISTED])
    error = _attribute(_ERROR_CODE, b"\0\0\x04\x14" + b"Unknown Attribute")
    return _reply(_ERROR, check, error + _attribute(_UNKNOWN_ATTRIBUTES, listed), password)


# --- what goes out ---------------------------------------------------------------------------


def _reply(kind: int, check: Check, attributes: bytes, password: str) -> bytes:
    return _message(kind, check.transaction, attributes, password)


def _message(kind: int, transaction: bytes, attributes: bytes, password: str) -> bytes:
    """With MESSAGE-INTEGRITY and FINGERPRINT (RFC 8489 sections 14.5, 14.7)."""
    plain = _HEADER.pack(kind, len(attributes), _COOKIE, transaction) + attributes
    signed = plain + _attribute(_MESSAGE_INTEGRITY, _signature(plain, password))
    complete = _longer(signed, _ATTRIBUTE.size + 4)
    return complete + _attribute(_FINGERPRINT, _fingerprint(complete).to_bytes(4, "big"))


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value + bytes(-len(value) % 4)


def _xored(source: Address, transaction: bytes) -> bytes:
    """RFC 8489 section 14.2."""
    return _xored_v4(source) if ":" not in source[0] else _xored_v6(source, transaction)


@lru_cache(maxsize=4096)
def _xored_v4(source: Address) -> bytes:
    packed = int.from_bytes(socket.inet_pton(socket.AF_INET, source[0]), "big") ^ _COOKIE
    return b"\0\x01" + _xored_port(source[1]) + packed.to_bytes(4, "big")


def _xored_v6(source: Address, transaction: bytes) -> bytes:
    bare = source[0].partition("%")[0]
    mask = int.from_bytes(_COOKIE.to_bytes(4, "big") + transaction, "big")
    packed = int.from_bytes(socket.inet_pton(socket.AF_INET6, bare), "big") ^ mask
    return b"\0\x02" + _xored_port(source[1]) + packed.to_bytes(16, "big")


def _xored_port(port: int) -> bytes:
    return (port ^ _COOKIE >> 16).to_bytes(2, "big")


def _signature(plain: bytes, password: str) -> bytes:
    covered = _longer(plain, _ATTRIBUTE.size + _SIGNATURE)
    return hmac.digest(password.encode(), covered, "sha1")


def _fingerprint(covered: bytes) -> int:
    return binascii.crc32(covered) ^ _FINGERPRINT_XOR


def _longer(message: bytes, more: int) -> bytes:
    """The message with the length that it will have: what covers it counts itself in."""
    length = len(message) - _HEADER.size + more
    return message[:2] + length.to_bytes(2, "big") + message[4:]


# --- what comes in ---------------------------------------------------------------------------


def _read_header(data: bytes) -> tuple[int, bytes]:
    """Type and transaction id."""
    if not _HEADER.size <= len(data) <= _MAX_LENGTH:
        raise ValueError("length out of range")
    kind: int
    transaction: bytes
    kind, length, cookie, transaction = _HEADER.unpack_from(data)
    if kind & 0xC000:
        raise ValueError("not STUN")
    if cookie != _COOKIE:
        raise ValueError("wrong magic cookie")
    if length % 4 or length != len(data) - _HEADER.size:
        raise ValueError("length does not match")
    return kind, transaction


def _read_attributes(data: bytes) -> tuple[dict[int, bytes], bytes]:
    """The first of each type, and what is signed; ValueError when nothing is.

    What follows MESSAGE-INTEGRITY is not authenticated and does not count (RFC 8489 section 9), FINGERPRINT
    aside.
    """
    found: dict[int, bytes] = {}
    signed: bytes | None = None
    for position, kind, value in _attributes(data):
        if kind == _FINGERPRINT:
            covered = _longer(data[:position], _ATTRIBUTE.size + 4)
            if int.from_bytes(value, "big") != _fingerprint(covered):
                raise ValueError("FINGERPRINT does not match")
        elif signed is None:
            found.setdefault(kind, value)
            if kind == _MESSAGE_INTEGRITY:
                signed = data[:position]
    if signed is None:
        raise ValueError("MESSAGE-INTEGRITY missing")
    return found, signed


def _attributes(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Where each begins, its type and its value; every one is inside the datagram."""
    position = _HEADER.size
    while position < len(data):
        kind: int
        size: int
        kind, size = _ATTRIBUTE.unpack_from(data, position)
        end = position + _ATTRIBUTE.size + size
        if end > len(data):
            raise ValueError(f"attribute 0x{kind:04x} is truncated")
        if _FIXED_SIZES.get(kind, size) != size:
            raise ValueError(f"attribute 0x{kind:04x} has the wrong size")
        yield position, kind, data[position + _ATTRIBUTE.size : end]
        position = end + -size % 4
