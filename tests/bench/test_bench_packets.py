"""The load's packets are what a browser would send: aiortc's own parsers must read them."""

from __future__ import annotations

import struct

import pytest
from aiortc.codecs.vpx import VpxPayloadDescriptor
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtcpPacket, RtcpPsfbPacket, RtcpRrPacket, RtcpSrPacket
from aiortc.rtp import RtpPacket as AiortcPacket
from load import rtp


def packet(payload: bytes, header_extension: bytes = b"") -> bytes:
    return rtp.packet(
        payload_type=96,
        marker=True,
        sequence=65_537,
        timestamp=(1 << 32) + 7,
        ssrc=0x11223344,
        header_extension=header_extension,
        payload=payload,
    )


def test_numbers_are_cut_to_their_fields() -> None:
    parsed = AiortcPacket.parse(packet(b"x"))
    assert (parsed.sequence_number, parsed.timestamp, parsed.ssrc) == (1, 7, 0x11223344)
    assert (parsed.payload_type, parsed.marker, parsed.payload) == (96, 1, b"x")


@pytest.mark.parametrize("keyframe", [True, False])
def test_vp8_frames_start_with_descriptor_and_frame_header(keyframe: bool) -> None:
    start = rtp.vp8_start(picture=0x1234, first=True, keyframe=keyframe)
    descriptor, frame = VpxPayloadDescriptor.parse(start)
    assert (descriptor.partition_start, descriptor.picture_id) == (1, 0x1234)
    assert (frame[0] & 1 == 0) is keyframe
    assert (frame[3:6] == b"\x9d\x01\x2a") is keyframe


def test_later_packets_of_a_frame_carry_its_picture_id_only() -> None:
    descriptor, rest = VpxPayloadDescriptor.parse(rtp.vp8_start(0x8005, False, True))
    assert (descriptor.partition_start, descriptor.picture_id, rest) == (0, 5, b"")


def test_extension_carries_level_and_transport_sequence() -> None:
    extensions = HeaderExtensionsMap()
    extensions.configure(
        RTCRtpParameters(
            headerExtensions=[
                RTCRtpHeaderExtensionParameters(id=1, uri=rtp.AUDIO_LEVEL),
                RTCRtpHeaderExtensionParameters(id=3, uri=rtp.TRANSPORT_CC),
            ]
        )
    )
    header_extension = rtp.extension([(3, struct.pack("!H", 777)), (1, bytes((0x80 | 20,)))])
    parsed = AiortcPacket.parse(packet(b"x", header_extension), extensions)
    assert parsed.extensions.transport_sequence_number == 777
    assert parsed.extensions.audio_level == (True, 20)


def test_extensions_that_were_not_negotiated_are_left_out() -> None:
    assert rtp.extension([(0, b"\x00\x01"), (0, b"\x02")]) == b""


def test_a_tag_survives_another_header() -> None:
    plain = packet(rtp.tagged(b"start", 600, 9, 123_456))
    rewritten = struct.pack("!BBHII", 0x80, 100, 1, 2, 3) + b"extra" + plain[12:]
    assert len(plain) == 12 + 600
    assert rtp.read_tag(rewritten) == (9, 123_456)


@pytest.mark.parametrize(
    ("datagram", "media"),
    [
        (bytes((0x80, 96)) + bytes(20), True),
        (bytes((0x90, 0x80 | 96)) + bytes(20), True),
        (bytes((0x80, 200)) + bytes(20), False),
        (bytes((0x81, 206)) + bytes(20), False),
        (bytes((0x00, 0x01)) + bytes(20), False),
        (bytes((22, 254)) + bytes(20), False),
        (b"\x80\x60", False),
    ],
)
def test_media_is_told_from_the_rest(datagram: bytes, media: bool) -> None:
    assert rtp.is_media(datagram) is media


def test_keyframe_requests_are_found_among_others() -> None:
    pli = bytes(RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=10))
    fir = bytes(RtcpPsfbPacket(fmt=4, ssrc=1, media_ssrc=0, fci=struct.pack("!IB3x", 20, 1)))
    remb = bytes(RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=b"REMB" + bytes(8)))
    compound = rtp.receiver_reports(5, [], "bench")[0] + remb + pli + fir
    assert list(rtp.keyframe_requests(compound)) == [10, 20]


def test_receiver_reports_cover_everything_heard_in_packets_that_fit() -> None:
    heard = list(range(100, 170))
    compounds = rtp.receiver_reports(7, heard, "bench")
    assert max(len(compound) for compound in compounds) < 1200
    packets = [packet for compound in compounds for packet in RtcpPacket.parse(compound)]
    reports = [packet for packet in packets if isinstance(packet, RtcpRrPacket)]
    assert [len(packet.reports) for packet in reports] == [31, 31, 8]
    assert [report.ssrc for packet in reports for report in packet.reports] == heard


def test_a_sender_report_ties_the_clocks() -> None:
    compound = rtp.sender_report(7, 90_000, 1_000_000_000.5, 3, 400, "bench")
    report = RtcpPacket.parse(compound)[0]
    assert isinstance(report, RtcpSrPacket)
    assert report.sender_info.ntp_timestamp >> 32 == 1_000_000_000 + 2_208_988_800
    assert report.sender_info.ntp_timestamp & 0xFFFFFFFF == 1 << 31
    assert (report.sender_info.rtp_timestamp, report.sender_info.packet_count) == (90_000, 3)
