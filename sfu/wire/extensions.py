"""RTP header extension elements, one-byte and two-byte form (RFC 8285 sections 4.2 and 4.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

ONE_BYTE_PROFILE = 0xBEDE
TWO_BYTE_PROFILE = 0x1000
"""The upper 12 bits; the lower four are 'appbits' without meaning here."""

_STOP_ID = 15
"""RFC 8285 section 4.2: in the one-byte form nothing after this id may be read."""


def is_two_byte(profile: int) -> bool:
    return profile & 0xFFF0 == TWO_BYTE_PROFILE


def elements(
    data: bytes | bytearray, profile: int, start: int, end: int
) -> Iterator[tuple[int, int, int, int]]:
    """Yields (id, at, value_at, value_end); `at` is where the element's own header begins.

    Stops at the first element that does not fit. An unknown form yields nothing.
    """
    if profile == ONE_BYTE_PROFILE:
        return _one_byte_elements(data, start, end)
    if is_two_byte(profile):
        return _two_byte_elements(data, start, end)
    return iter(())


def _one_byte_elements(
    data: bytes | bytearray, at: int, end: int
) -> Iterator[tuple[int, int, int, int]]:
    while at < end:
        head = data[at]
        if head == 0:
            at += 1
            continue
        identifier, value_at = head >> 4, at + 1
        value_end = value_at + (head & 0x0F) + 1
        # Id 0 with a length is no padding and no element either: nothing after it can be trusted.
        if identifier in (0, _STOP_ID) or value_end > end:
            return
        yield identifier, at, value_at, value_end
        at = value_end


def _two_byte_elements(
    data: bytes | bytearray, at: int, end: int
) -> Iterator[tuple[int, int, int, int]]:
    while at < end:
        if data[at] == 0:
            at += 1
            continue
        value_at = at + 2
        if value_at > end:
            return
        value_end = value_at + data[at + 1]
        if value_end > end:
            return
        yield data[at], at, value_at, value_end
        at = value_end


def find(
    data: bytes, profile: int, start: int, end: int, identifier: int
) -> tuple[int, int] | None:
    """(value_at, value_end) of the first element with this id."""
    for found, _, value_at, value_end in elements(data, profile, start, end):
        if found == identifier:
            return value_at, value_end
    return None


def remap(
    data: bytes, profile: int, start: int, end: int, identifiers: Mapping[int, int]
) -> tuple[int, bytes]:
    """The block with its ids as another session knows them: (profile, elements), length unchanged.

    An element without a counterpart becomes padding (zero bytes), as does everything that can't be
    read. A block of an unknown form becomes an empty one-byte block.
    """
    two_byte = is_two_byte(profile)
    if profile != ONE_BYTE_PROFILE and not two_byte:
        return ONE_BYTE_PROFILE, bytes(end - start)
    highest = 255 if two_byte else _STOP_ID - 1
    block = bytearray(end - start)
    for identifier, at, _, value_end in elements(data, profile, start, end):
        ours = identifiers.get(identifier, 0)
        if not 0 < ours <= highest:
            continue
        block[at - start : value_end - start] = data[at:value_end]
        block[at - start] = ours if two_byte else ours << 4 | (data[at] & 0x0F)
    return profile, bytes(block)


def audio_level(value: int) -> int:
    """-dBov, 0 loudest to 127 silent. The top bit says 'voice', RFC 6464 section 3, and is not used."""
    return value & 0x7F
