"""The VP8 payload descriptor (RFC 7741 section 4.2) and what a change of source does to its counters."""

from __future__ import annotations

import msgspec

LONG_PICTURE_ID = 15
SHORT_PICTURE_ID = 7


class Descriptor(msgspec.Struct, gc=False):
    """Where the counters stand. Offsets index the whole packet, 0 when the field is absent."""

    picture_id_at: int
    picture_id_bits: int
    """15 or 7; a 7-bit id can't become longer without moving the payload, so it stays one."""
    picture_id: int
    tl0_at: int
    tl0: int
    keyframe: bool
    """The packet begins a keyframe."""


def parse(data: bytes, start: int, end: int) -> Descriptor:
    """Raises ValueError when the descriptor runs past the payload."""
    if start >= end:
        raise ValueError("VP8 payload is empty")
    first, at = data[start], start + 1
    picture_id_at = bits = picture_id = tl0_at = tl0 = 0
    if first & 0x80:
        if at >= end:
            raise ValueError("VP8 descriptor is cut off")
        flags, at = data[at], at + 1
        if flags & 0x80:
            picture_id_at, bits, picture_id = at, *_picture_id(data, at, end)
            at += 2 if bits == LONG_PICTURE_ID else 1
        if flags & 0x40:
            if at >= end:
                raise ValueError("VP8 TL0PICIDX is cut off")
            tl0_at, tl0, at = at, data[at], at + 1
        if flags & 0x30:
            at += 1
    if at > end:
        raise ValueError("VP8 descriptor is cut off")
    # S set and partition 0: the frame's own header follows, whose lowest bit is 0 in a keyframe
    # (RFC 7741 section 4.3).
    begins = first & 0x17 == 0x10 and at < end and not data[at] & 0x01
    return Descriptor(picture_id_at, bits, picture_id, tl0_at, tl0, begins)


def _picture_id(data: bytes, at: int, end: int) -> tuple[int, int]:
    if at >= end:
        raise ValueError("VP8 picture id is cut off")
    if not data[at] & 0x80:
        return SHORT_PICTURE_ID, data[at]
    if at + 1 >= end:
        raise ValueError("VP8 picture id is cut off")
    return LONG_PICTURE_ID, (data[at] & 0x7F) << 8 | data[at + 1]


class Shift(msgspec.Struct, frozen=True):
    """What is added to the counters of one source so that they go on from the source before it."""

    picture_id: int = 0
    tl0: int = 0

    def apply(self, packet: bytearray, descriptor: Descriptor) -> None:
        """Write the counters into the packet that `descriptor` was read from."""
        at = descriptor.picture_id_at
        if descriptor.picture_id_bits == LONG_PICTURE_ID:
            value = (descriptor.picture_id + self.picture_id) & 0x7FFF
            packet[at] = 0x80 | value >> 8
            packet[at + 1] = value & 0xFF
        elif descriptor.picture_id_bits:
            packet[at] = (descriptor.picture_id + self.picture_id) & 0x7F
        if descriptor.tl0_at:
            packet[descriptor.tl0_at] = (descriptor.tl0 + self.tl0) & 0xFF


NO_SHIFT = Shift()


def shift_after(last: Descriptor | None, shift: Shift, first: Descriptor | None) -> Shift:
    """The shift that makes `first` follow `last`, which went out under `shift`."""
    if last is None or first is None:
        return NO_SHIFT
    return Shift(
        (last.picture_id + shift.picture_id + 1 - first.picture_id) & 0x7FFF,
        (last.tl0 + shift.tl0 + 1 - first.tl0) & 0xFF,
    )
