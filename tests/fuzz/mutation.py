"""Inputs for the fuzz targets: well-formed ones to begin with, and what becomes of them."""

from __future__ import annotations

import random
import struct

from aioice import stun

from sfu.wire import rtcp, twcc

_INTERESTING = (0, 1, 2, 0x0F, 0x10, 0x7F, 0x80, 0x8F, 0xC8, 0xCD, 0xCE, 0xFF)


_UCWA = [
    b'{"subject":"a","attendees":["sip:bob@example.com"],"n":11,"at":"\\/Date(1360199838000)\\/","x":{"y":[]}}',
    b'<?xml version="1.0" encoding="utf-8"?><input xmlns="http://schemas.microsoft.com/rtc/2012/03/ucwa">'
    b'<property name="id">917823</property><propertyList name="tags"><item>a</item></propertyList></input>',
    b"--B\r\nContent-Type: application/http; msgtype=request\r\n\r\nGET /ucwa HTTP/1.1\r\n"
    b"Accept: application/xml;q=0.9, */*\r\nData: {}\r\n\r\n{}\r\n--B--\r\n",
    b"Content-Type: application/http; msgtype=request\r\n\r\nPOST /ucwa?a=b HTTP/1.1\r\n\r\n{}",
    b'text/html;q="0.5";x="a,\\"b", application/vnd.microsoft.com.ucwa+xml;q=0.8, application/json; charset=utf-8',
]


_SDP = b"""v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=ice-ufrag:abcd
a=ice-pwd:pppppppppppppppppppppppp
a=fingerprint:sha-256 %s
a=setup:actpass
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=mid:0
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
m=video 9 UDP/TLS/RTP/SAVPF 96 97
a=mid:1
a=sendonly
a=rtcp-mux
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;profile-level-id=42e01f
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=ssrc-group:FID 5 6
""" % b":".join([b"AA"] * 32)


def _rtp(first: int, payload_type: int, rest: bytes) -> bytes:
    return struct.pack("!BBHII", first, payload_type, 7, 900, 1000) + rest


def _stun_response() -> bytes:
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.RESPONSE)
    message.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.1", 5000)
    message.add_message_integrity(b"password")
    return bytes(message)


_HELLO = bytes.fromhex(
    "16feff 000000000000000000 30 010000240000 000000000024 fefd".replace(" ", "")
) + bytes(34)
"""The beginning of a ClientHello, as far as it is read."""


def _stun() -> bytes:
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    message.attributes["USERNAME"] = "abcd:efgh"
    message.attributes["PRIORITY"] = 1
    message.attributes["ICE-CONTROLLING"] = 77
    message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(b"password")
    return bytes(message)


def seeds() -> list[bytes]:
    elements = struct.pack("!HH", 0xBEDE, 2) + b"\x10\x94\x31\x00\x07\x22ab"
    two_byte = struct.pack("!HH", 0x1000, 2) + b"\x01\x01\x94\x00\x09\x02ab"
    picture = b"\x90\xe0\x80\x07\x09\x20\x00frame"
    reports: list[rtcp.Rtcp] = [
        rtcp.SenderReport(
            ssrc=1,
            ntp=2,
            timestamp=3,
            packets=4,
            octets=5,
            reports=[rtcp.ReportBlock(ssrc=6, lost=-1)],
        ),
        rtcp.SourceDescription(cnames={1: "alice", 2: "bob"}),
        rtcp.Nack(sender_ssrc=1, media_ssrc=2, sequences=[65_535, 0, 3, 99]),
        rtcp.PictureLoss(sender_ssrc=1, media_ssrc=2),
        rtcp.FullIntraRequest(sender_ssrc=1, entries=[(2, 3)]),
        rtcp.Remb(sender_ssrc=1, bitrate=1_000_000, ssrcs=[2]),
        rtcp.Goodbye(ssrcs=[1]),
    ]
    feedback = twcc.FeedbackBuilder().build(
        [(n, n * n * 200) for n in range(0, 90, 1) if n % 7], 1, 2
    )
    return [
        _rtp(0x80, 96, picture),
        _rtp(0x90, 0xE0, elements + picture),
        _rtp(0x92, 98, bytes(8) + two_byte + b"\xa8\x81\x05\x00\x00vp9"),
        _rtp(0xB0, 97, elements + b"\x00\x07" + picture + b"\x00\x00\x03"),
        _rtp(0x80, 100, b"\x78\x00\x02\x67\x42\x00\x02\x65\x88"),
        _rtp(0x80, 102, b"\x20\x01\x12\x0a\x0b"),
        picture,
        b"\x7c\x85\x00\x11",
        rtcp.build(reports),
        *(rtcp.build([report]) for report in reports),
        rtcp.build(feedback),
        twcc.write(feedback[0]),
        _stun(),
        _SDP,
        _stun_response(),
        _HELLO,
        *_UCWA,
    ]


def mutate(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    out = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        _mutate_once(out, chance, others)
    return bytes(out[:1400])


def _mutate_once(out: bytearray, chance: random.Random, others: list[bytes]) -> None:
    at = chance.randrange(len(out) + 1)
    match chance.randrange(7):
        case 0:
            del out[at:]
        case 1:
            del out[at : at + chance.randrange(1, 5)]
        case 2:
            out[at:at] = chance.randbytes(chance.randrange(1, 9))
        case 3 if at < len(out):
            out[at] ^= 1 << chance.randrange(8)
        case 4 if at < len(out):
            out[at] = chance.choice(_INTERESTING)
        case 5:
            other = chance.choice(others)
            out[at:] = other[chance.randrange(len(other) + 1) :]
        case 6:
            out += out[:at]
