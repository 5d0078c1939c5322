"""The fixed header, padding, extension elements and retransmission payloads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from path_rig import rtp

from sfu.wire import extensions, rtx
from sfu.wire.header import Packet, parse


def test_a_plain_packet() -> None:
    packet = parse(rtp(7, 900, 1234, b"abc", payload_type=100, marker=True))
    assert (packet.payload_type, packet.marker) == (100, 0x80)
    assert (packet.sequence, packet.timestamp, packet.ssrc) == (7, 900, 1234)
    assert packet.data[packet.payload_at : packet.payload_end] == b"abc"
    assert packet.has_media


def test_csrcs_extension_and_padding_are_stepped_over() -> None:
    data = rtp(7, 900, 1234, b"abc", csrcs=(1, 2), elements=b"\x10\xff", padding=4)
    packet = parse(data)
    assert data[packet.payload_at : packet.payload_end] == b"abc"
    assert data[packet.extension_at : packet.extension_end] == b"\x10\xff\x00\x00"


def test_padding_alone_is_no_media() -> None:
    assert not parse(rtp(7, 900, 1234, b"", padding=200)).has_media
    assert not parse(rtp(7, 900, 1234, b"")).has_media


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x80" + bytes(10), "fixed header"),
        (b"\x40" + bytes(20), "version"),
        (b"\x83" + bytes(11), "past the packet"),
        (b"\x90" + bytes(13), "extension is cut off"),
        (b"\x90" + bytes(11) + b"\xbe\xde\x00\x01", "past the packet"),
        (b"\xa0" + bytes(11), "padding"),
        (b"\xa0" + bytes(11) + b"\x00", "padding"),
        (b"\xa0" + bytes(11) + b"\x00\x03", "padding"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(data)


# --- extension elements ---------------------------------------------------------------------


def remapped(elements: bytes, ids: dict[int, int], profile: int = 0xBEDE) -> tuple[int, bytes]:
    return extensions.remap(elements, profile, 0, len(elements), ids)


@pytest.mark.parametrize(
    ("elements", "ids", "expected"),
    [
        (b"\x10\xff\x00\x00", {1: 5}, b"\x50\xff\x00\x00"),
        (b"\x10\xff\x21\xaa\xbb\x00\x00\x00", {2: 1}, b"\x00\x00\x11\xaa\xbb\x00\x00\x00"),
        (b"\x10\xff\x20\xee", {1: 2, 2: 1}, b"\x20\xff\x10\xee"),
        (b"\x00\x10\xff\x00", {1: 3}, b"\x00\x30\xff\x00"),
        (b"\x10\xff\x00\x00", {1: 15}, bytes(4)),  # an id that the one-byte form can't say
        (b"\x10\xff\xf0\x30\x11\x00\x00\x00", {1: 4, 3: 4}, b"\x40\xff" + bytes(6)),  # stops at 15
        (b"\x10\xff\x03\x30\x11\x00\x00\x00", {1: 4, 3: 4}, b"\x40\xff" + bytes(6)),  # id 0, length
        (b"\x10\xff\x2f\x01", {1: 4, 2: 5}, b"\x40\xff\x00\x00"),  # runs past the block
    ],
)
def test_one_byte_elements_are_renamed_or_blanked(
    elements: bytes, ids: dict[int, int], expected: bytes
) -> None:
    assert remapped(elements, ids) == (0xBEDE, expected)


@pytest.mark.parametrize(
    ("elements", "ids", "expected"),
    [
        (b"\x01\x01\xff\x00", {1: 200}, b"\xc8\x01\xff\x00"),
        (b"\x01\x00\x02\x02\xaa\xbb\x00\x00", {1: 9}, b"\x09\x00" + bytes(6)),
        (b"\x0f\x01\xff\x00", {15: 3}, b"\x03\x01\xff\x00"),  # 15 is an id like any other here
        (b"\x01\x01\xff\x02", {1: 3, 2: 4}, b"\x03\x01\xff\x00"),  # no length byte
        (b"\x01\x09\xff\x00", {1: 3}, bytes(4)),
    ],
)
def test_two_byte_elements_are_renamed_or_blanked(
    elements: bytes, ids: dict[int, int], expected: bytes
) -> None:
    assert remapped(elements, ids, 0x1003) == (0x1003, expected)


def test_an_unknown_form_becomes_an_empty_block() -> None:
    assert remapped(b"\x11\x22\x33\x44", {1: 1, 2: 2}, 0x4242) == (0xBEDE, bytes(4))


@given(st.binary(max_size=64), st.dictionaries(st.integers(1, 20), st.integers(1, 20)))
def test_remapping_keeps_length_and_readable_form(block: bytes, ids: dict[int, int]) -> None:
    for profile in (0xBEDE, 0x1000, 0x1234):
        ours, out = remapped(block, ids, profile)
        assert len(out) == len(block)
        theirs = [
            (ids[identifier], block[value_at:value_end])
            for identifier, _, value_at, value_end in extensions.elements(
                block, profile, 0, len(block)
            )
            if identifier in ids and (profile == 0x1000 or ids[identifier] < 15)
        ]
        assert theirs == [
            (identifier, out[value_at:value_end])
            for identifier, _, value_at, value_end in extensions.elements(out, ours, 0, len(out))
        ]


# --- retransmission -------------------------------------------------------------------------


def test_a_retransmission_unwraps_to_what_was_sent() -> None:
    original = rtp(77, 900, 1000, b"payload", marker=True, elements=b"\x10\xff", csrcs=(9,))
    again = rtx.wrap(original, parse(original).payload_at, 97, 2000, 3)
    packet = parse(again)
    assert (packet.payload_type, packet.sequence, packet.ssrc) == (97, 3, 2000)
    assert packet.timestamp == 900
    assert rtx.unwrap(packet, 96, 1000) == original


def test_the_retransmissions_own_padding_is_left_out() -> None:
    packet = parse(rtp(3, 900, 2000, b"\x00\x4dpayload", payload_type=97, padding=10))
    assert rtx.unwrap(packet, 96, 1000) == rtp(77, 900, 1000, b"payload")


def test_a_probe_on_the_retransmission_stream_carries_nothing() -> None:
    def empty(payload: bytes) -> Packet:
        return parse(rtp(3, 900, 2000, payload, payload_type=97, padding=10))

    assert rtx.unwrap(empty(b""), 96, 1000) is None
    assert rtx.unwrap(empty(b"\x00"), 96, 1000) is None
