"""Payload descriptors: VP8's counters, and where a keyframe begins."""

from __future__ import annotations

import struct

import pytest
from path_rig import vp8 as make_vp8

from sfu.wire import keyframe, vp8


def test_a_descriptor_with_everything() -> None:
    payload = bytes([0x90, 0xF0]) + struct.pack("!H", 0x8000 | 0x1234) + bytes([9, 0xE0, 0x00])
    found = vp8.parse(payload, 0, len(payload))
    assert (found.picture_id_at, found.picture_id_bits, found.picture_id) == (2, 15, 0x1234)
    assert (found.tl0_at, found.tl0) == (4, 9)
    assert found.keyframe


def test_a_short_picture_id_and_a_bare_descriptor() -> None:
    short = vp8.parse(bytes([0x90, 0x80, 0x7F, 0x01]), 0, 4)
    assert (short.picture_id_bits, short.picture_id, short.keyframe) == (7, 0x7F, False)
    bare = vp8.parse(bytes([0x10, 0x00]), 0, 2)
    assert (bare.picture_id_bits, bare.tl0_at, bare.keyframe) == (0, 0, True)


@pytest.mark.parametrize(
    ("payload", "begins"),
    [
        (bytes([0x10, 0x00]), True),
        (bytes([0x10, 0x01]), False),  # P: predicted
        (bytes([0x00, 0x00]), False),  # not the start of a partition
        (bytes([0x11, 0x00]), False),  # a later partition
        (bytes([0x30, 0x00]), True),  # N: a frame nobody refers to
        (bytes([0x10]), False),  # no payload
    ],
)
def test_vp8_keyframes(payload: bytes, begins: bool) -> None:
    assert vp8.parse(payload, 0, len(payload)).keyframe is begins


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x80", b"\x80\x80", b"\x80\x80\x80", b"\x80\x40", b"\x80\x20", b"\x80\xc0\x81\x00"],
)
def test_cut_off_descriptors_are_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="VP8"):
        vp8.parse(payload, 0, len(payload))


def test_counters_go_on_over_a_switch_and_wrap() -> None:
    before = make_vp8(0x7FFF, 255)
    after = make_vp8(500, 17, keyframe=True)
    shift = vp8.shift_after(
        vp8.parse(before, 0, len(before)), vp8.NO_SHIFT, first := vp8.parse(after, 0, len(after))
    )
    changed = bytearray(after)
    shift.apply(changed, first)
    assert bytes(changed) == make_vp8(0, 0, keyframe=True)


def test_a_short_picture_id_stays_short() -> None:
    before, after = make_vp8(300), make_vp8(5, short=True)
    first = vp8.parse(after, 0, len(after))
    shift = vp8.shift_after(vp8.parse(before, 0, len(before)), vp8.NO_SHIFT, first)
    changed = bytearray(after)
    shift.apply(changed, first)
    assert len(changed) == len(after)
    assert changed[2] == 301 & 0x7F


@pytest.mark.parametrize(
    ("payload", "begins"),
    [
        (b"\x08\x00", True),  # B
        (b"\x48\x00", False),  # P: inter-predicted
        (b"\x00\x00", False),  # not the beginning
        (b"\x88\x05\x00", True),  # 7-bit picture id
        (b"\xa8\x05\x00\x00", True),  # with layer indices, lowest spatial layer
        (b"\xa8\x05\x02\x00", False),  # spatial layer 1
        (b"\xa8\x81\x05\x00\x00", True),  # 15-bit picture id
        (b"\x28", False),
        (b"\xa8", False),
        (b"\xa8\x85", False),
        (b"", False),
    ],
)
def test_vp9_keyframes(payload: bytes, begins: bool) -> None:
    assert keyframe.vp9(payload, 0, len(payload)) is begins


@pytest.mark.parametrize(
    ("payload", "begins"),
    [
        (b"\x67\x42", True),  # SPS
        (b"\x65\x88", True),  # IDR
        (b"\x68\x42", False),  # PPS alone
        (b"\x41\x9a", False),  # a slice
        (b"\x7c\x85\x00", True),  # FU-A, first fragment of an IDR
        (b"\x7c\x05\x00", False),  # its continuation
        (b"\x7c\x81\x00", False),  # first fragment of a slice
        (b"\x7c", False),
        (b"\x78\x00\x02\x68\x42\x00\x02\x65\x88", True),  # STAP-A with an IDR
        (b"\x78\x00\x02\x06\x05\x00\x02\x41\x9a", False),
        (b"\x78\x00\x00\x67", False),  # an empty unit
        (b"\x78\x00\x09\x67", False),  # a unit past the payload
        (b"\x78\x00", False),
        (b"", False),
    ],
)
def test_h264_keyframes(payload: bytes, begins: bool) -> None:
    assert keyframe.h264(payload, 0, len(payload)) is begins


@pytest.mark.parametrize(
    ("payload", "begins"),
    [
        (b"\x08\x00", True),  # N
        (b"\x88\x00", False),  # Z: goes on from before
        (b"\x10\x0a\x0b", True),  # one OBU, a sequence header, no N
        (b"\x10\x32\x00", False),  # one OBU, a frame
        (b"\x20\x01\x12\x0a\x0b", True),  # temporal delimiter, then the sequence header
        (b"\x00\x02\x0a\x0b", True),  # W 0: every OBU has its length
        (b"\x00\x09\x0a\x0b", False),  # a length past the payload
        (b"\x00\xff\xff\xff\xff\xff", False),  # a length without end
        (b"\x00", False),
        (b"", False),
    ],
)
def test_av1_keyframes(payload: bytes, begins: bool) -> None:
    assert keyframe.av1(payload, 0, len(payload)) is begins
