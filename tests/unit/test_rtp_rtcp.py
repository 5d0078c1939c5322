"""RTCP to values and back, against bytes written by hand and by aiortc."""

from __future__ import annotations

import struct

import pytest
from aiortc import rtp as aiortc_rtp
from hypothesis import given
from hypothesis import strategies as st

from sfu.wire import rtcp
from sfu.wire.rtcp import ReportBlock, build, parse
from sfu.wire.twcc import TransportFeedback

u32 = st.integers(0, 2**32 - 1)
u16 = st.integers(0, 2**16 - 1)
blocks = st.builds(
    ReportBlock,
    ssrc=u32,
    fraction_lost=st.integers(0, 255),
    lost=st.integers(-(2**23), 2**23 - 1),
    highest_sequence=u32,
    jitter=u32,
    last_sr=u32,
    delay=u32,
)
packets = st.one_of(
    st.builds(
        rtcp.SenderReport,
        ssrc=u32,
        ntp=st.integers(0, 2**64 - 1),
        timestamp=u32,
        packets=u32,
        octets=u32,
        reports=st.lists(blocks, max_size=31),
    ),
    st.builds(rtcp.ReceiverReport, ssrc=u32, reports=st.lists(blocks, max_size=31)),
    st.builds(
        rtcp.SourceDescription, cnames=st.dictionaries(u32, st.text(max_size=40), max_size=5)
    ),
    st.builds(rtcp.Goodbye, ssrcs=st.lists(u32, max_size=31)),
    st.builds(rtcp.PictureLoss, sender_ssrc=u32, media_ssrc=u32),
    st.builds(
        rtcp.FullIntraRequest,
        sender_ssrc=u32,
        entries=st.lists(st.tuples(u32, st.integers(0, 255)), max_size=5),
    ),
    st.builds(
        rtcp.Remb,
        sender_ssrc=u32,
        bitrate=st.integers(0, 2**18 - 1).map(lambda mantissa: mantissa << 5),
        ssrcs=st.lists(u32, max_size=5),
    ),
    st.builds(
        TransportFeedback,
        sender_ssrc=u32,
        media_ssrc=u32,
        base_sequence=u16,
        reference_time=st.integers(0, 2**24 - 1),
        feedback_count=st.integers(0, 255),
        arrivals=st.lists(st.none() | st.integers(0, 20_000), min_size=1, max_size=60),
    ),
)


@given(st.lists(packets, min_size=1, max_size=4))
def test_what_is_written_is_read(compound: list[rtcp.Rtcp]) -> None:
    assert parse(build(compound)) == compound


@given(u16, st.sets(st.integers(0, 300), min_size=1))
def test_nacks_keep_their_numbers_over_the_wrap(first: int, offsets: set[int]) -> None:
    sequences = [(first + offset) & 0xFFFF for offset in sorted(offsets)]
    data = build([rtcp.Nack(sender_ssrc=1, media_ssrc=2, sequences=sequences)])
    assert parse(data) == [rtcp.Nack(sender_ssrc=1, media_ssrc=2, sequences=sequences)]
    assert len(data) <= 12 + 4 * (1 + max(offsets) // 17 + len(offsets))


def test_aiortc_reads_what_we_write() -> None:
    data = build(
        [
            rtcp.SenderReport(
                ssrc=1,
                ntp=2,
                timestamp=3,
                packets=4,
                octets=5,
                reports=[ReportBlock(ssrc=6, lost=-1, highest_sequence=7)],
            ),
            rtcp.SourceDescription(cnames={1: "alice"}),
            rtcp.Nack(sender_ssrc=1, media_ssrc=2, sequences=[65_500, 65_501, 65_504]),
            rtcp.PictureLoss(sender_ssrc=1, media_ssrc=2),
            rtcp.Goodbye(ssrcs=[1]),
        ]
    )
    sender, description, nack, picture_loss, bye = aiortc_rtp.RtcpPacket.parse(data)
    assert sender.sender_info == aiortc_rtp.RtcpSenderInfo(
        ntp_timestamp=2, rtp_timestamp=3, packet_count=4, octet_count=5
    )
    assert (sender.reports[0].packets_lost, sender.reports[0].highest_sequence) == (-1, 7)
    assert description.chunks[0].items == [(1, b"alice")]
    assert nack.lost == [65_500, 65_501, 65_504]
    assert (picture_loss.fmt, picture_loss.media_ssrc) == (1, 2)
    assert bye.sources == [1]


def test_we_read_what_aiortc_writes() -> None:
    remb = aiortc_rtp.pack_remb_fci(1_500_000, [77])
    data = bytes(aiortc_rtp.RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=remb)) + bytes(
        aiortc_rtp.RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=2, lost=[500, 503])
    )
    assert parse(data) == [
        rtcp.Remb(sender_ssrc=1, bitrate=1_500_000, ssrcs=[77]),
        rtcp.Nack(sender_ssrc=1, media_ssrc=2, sequences=[500, 503]),
    ]


def test_foreign_types_are_passed_over() -> None:
    app = struct.pack("!BBHI4s", 0x80, 204, 2, 1, b"what")
    xr = struct.pack("!BBHI", 0x80, 207, 1, 1)
    bye = build([rtcp.Goodbye(ssrcs=[3])])
    assert parse(app + xr + bye) == [rtcp.Goodbye(ssrcs=[3])]


def test_padding_is_left_out() -> None:
    padded = bytes([0xA0, 201, 0, 2]) + (5).to_bytes(4, "big") + bytes([0, 0, 0, 4])
    assert parse(padded) == [rtcp.ReceiverReport(ssrc=5)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\xc9\x00",
        b"\x40\xc9\x00\x01" + bytes(4),  # version
        b"\x80\xc9\x00\x02" + bytes(4),  # longer than the datagram
        b"\x80\xc8\x00\x01" + bytes(4),  # sender report without its figures
        b"\x81\xc9\x00\x01" + bytes(4),  # a block is missing
        b"\x82\xcb\x00\x01" + bytes(4),  # a source is missing
        b"\x81\xca\x00\x01" + bytes(4),  # a chunk without an end
        b"\x81\xca\x00\x02" + bytes(4) + b"\x01\x09ab",
        b"\x81\xcd\x00\x01" + bytes(4),
        b"\x8f\xcd\x00\x02" + bytes(8),
        b"\x84\xce\x00\x03" + bytes(12),  # half a FIR entry
        b"\x8f\xce\x00\x03" + bytes(8) + b"REMB",
        b"\x8f\xce\x00\x04" + bytes(8) + b"REMB\x05" + bytes(3),
        b"\xa0\xc9\x00\x01" + bytes(3) + b"\x09",  # more padding than packet
        b"\xa0\xc9\x00\x01" + bytes(4),
    ],
)
def test_lengths_that_do_not_fit_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"RTCP|transport feedback"):
        parse(data)


def test_more_items_than_can_be_counted_are_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        build([rtcp.Goodbye(ssrcs=list(range(32)))])


@pytest.mark.parametrize(
    ("last_sr", "delay", "now_ntp", "us"),
    [
        (0x0001_0000, 0x8000, (1 << 32) + (3 << 31), 1_000_000),  # sent 1.0, held 0.5, now 2.5
        (0x0001_8000, 0, 1 << 32, 0),  # half a second of rounding
        (0x0009_0000, 0, 1 << 32, None),
    ],
)
def test_round_trip(last_sr: int, delay: int, now_ntp: int, us: int | None) -> None:
    assert rtcp.round_trip_us(last_sr, delay, now_ntp) == us


def reports(kind: int, *echoes: tuple[int, int]) -> bytes:
    blocks = [ReportBlock(ssrc=1, last_sr=last_sr, delay=delay) for last_sr, delay in echoes]
    if kind == rtcp.RR:
        return build([rtcp.ReceiverReport(ssrc=1, reports=blocks)])
    return build(
        [rtcp.SenderReport(ssrc=1, ntp=2, timestamp=3, packets=4, octets=5, reports=blocks)]
    )


NAMES = build([rtcp.SourceDescription(cnames={1: "alice"})])


@pytest.mark.parametrize(
    ("data", "mere", "echo"),
    [
        (b"", False, None),
        (reports(rtcp.RR), True, None),
        (reports(rtcp.RR) + NAMES, True, None),
        (NAMES, True, None),
        (reports(rtcp.RR, (0, 9)), True, None),
        (reports(rtcp.RR, (7, 8), (5, 6), (0, 9)) + NAMES, True, (5, 6)),
        (reports(rtcp.RR, (7, 8)) + build([rtcp.Goodbye(ssrcs=[1])]), False, (7, 8)),
        (
            reports(rtcp.RR, (7, 8)) + build([rtcp.PictureLoss(sender_ssrc=1, media_ssrc=2)]),
            False,
            (7, 8),
        ),
        (reports(rtcp.SR, (7, 8)) + NAMES, False, (7, 8)),
        (reports(rtcp.RR, (7, 8))[:-4], False, None),
        (reports(rtcp.RR) + b"\x80\xca", False, None),
        (b"\x81\xc9\x00\x01" + bytes(4), False, None),  # a block is missing
        (b"\xa0\xc9\x00\x01" + bytes(4), False, None),  # padded
        (b"\x40\xc9\x00\x01" + bytes(4), False, None),  # another version
    ],
)
def test_mere_reports_are_told_apart(data: bytes, mere: bool, echo: tuple[int, int] | None) -> None:
    assert rtcp.look(data) == (mere, echo)


@pytest.mark.parametrize(
    ("expected", "received", "fraction"),
    [
        (0, 0, 0),
        (100, 100, 0),
        (100, 50, 128),
        (100, 101, 0),
        (100, 0, 255),
        (1, 0, 255),
        (-3, 0, 0),
    ],
)
def test_fraction_lost(expected: int, received: int, fraction: int) -> None:
    assert rtcp.fraction_lost(expected, received) == fraction
