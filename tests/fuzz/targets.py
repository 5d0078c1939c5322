"""What is fuzzed: every parser that reads bytes of the network, and the whole packet path behind it.

A target takes any bytes and may raise ValueError, nothing else. Where two readings of the same bytes must
agree, it checks that as well.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable

from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy, Session

from conference.errors import BadRequest, DomainError
from conference.ucwa.engine import multipart, negotiate
from conference.ucwa.engine.multipart import Part
from conference.ucwa.engine.reading import body_inputs
from schemas.descriptions import ANSWER
from sfu.path.interface import Codec, LegSpec, PacketPath, Source, TrackSpec
from sfu.sdp.answers import AudioAnswer, VideoAnswer, answer_audio, answer_video
from sfu.sdp.local import LocalTransport, render
from sfu.sdp.offers import Subscriptions
from sfu.sdp.remote import parse as parse_sdp
from sfu.wire import dtls_records, extensions, header, keyframe, rtcp, rtx, stun, twcc, vp8

Target = Callable[[bytes], None]

SSRC, RTX_SSRC = 1000, 1001
_OURS = LocalTransport(
    ufrag="ours",
    password="p" * 24,
    fingerprint=":".join(["AA"] * 32),
    setup="passive",
    candidates=(("192.0.2.1", 7882),),
)


def read_rtp(data: bytes) -> None:
    packet = header.parse(data)
    assert 12 <= packet.payload_at <= packet.payload_end <= len(data)
    if not packet.extension_at:
        return
    assert 16 <= packet.extension_at <= packet.extension_end == packet.payload_at
    start, end = packet.extension_at, packet.extension_end
    for _, at, value_at, value_end in extensions.elements(data, packet.profile, start, end):
        assert start <= at < value_at <= value_end <= end
    _, block = extensions.remap(data, packet.profile, start, end, {1: 3, 2: 1, 200: 7})
    assert len(block) == end - start


def read_rtx(data: bytes) -> None:
    packet = header.parse(data)
    original = rtx.unwrap(packet, 96, SSRC)
    if original is None:
        return
    again = header.parse(original)
    wrapped = rtx.wrap(
        original, again.payload_at, packet.payload_type, packet.ssrc, packet.sequence
    )
    assert rtx.unwrap(header.parse(wrapped), 96, SSRC) == original


def read_vp8(data: bytes) -> None:
    descriptor = vp8.parse(data, 0, len(data))
    assert descriptor.picture_id_at + (descriptor.picture_id_bits > 7) < len(data)
    assert descriptor.tl0_at < len(data)
    changed = bytearray(data)
    vp8.Shift(5, 9).apply(changed, descriptor)
    assert len(changed) == len(data)
    assert vp8.parse(bytes(changed), 0, len(data)).picture_id_bits == descriptor.picture_id_bits


def read_keyframes(data: bytes) -> None:
    for detect in keyframe.DETECTORS.values():
        assert detect(data, 0, len(data)) in (True, False)
        # Nothing behind the end may matter.
        half = len(data) // 2
        assert detect(data, 0, half) == detect(data[:half], 0, half)


def read_rtcp(data: bytes) -> None:
    for packet in rtcp.parse(data):
        # Names may not be UTF-8, and feedback has its own target.
        if isinstance(packet, rtcp.SourceDescription | twcc.TransportFeedback):
            continue
        (again,) = rtcp.parse(rtcp.build([packet]))
        if isinstance(packet, rtcp.Nack) and isinstance(again, rtcp.Nack):
            assert set(again.sequences) == set(packet.sequences)  # repeated ones are merged
        else:
            assert again == packet


def read_feedback(data: bytes) -> None:
    feedback = twcc.parse(1, 2, data)
    assert len(feedback.arrivals) <= 0xFFFF
    assert twcc.parse(1, 2, twcc.write(feedback)) == feedback


def read_stun(data: bytes) -> None:
    check = stun.parse(data)
    assert isinstance(stun.authentic(check, "password"), bool)


def read_sdp(data: bytes) -> None:
    """An offer of either kind, and a viewer's answer. Our answer is read again as we read a client's."""
    text = data.decode("utf-8", "replace")
    remote = parse_sdp(text)
    for media in remote.media:
        assert all(1 <= number <= 255 and number != 15 for number in media.extensions.values())
        assert all(codec.payload_type in range(128) for codec in media.codecs)
    viewer = Subscriptions("name", lambda: 7)
    viewer.outstanding = True
    with contextlib.suppress(ValueError):
        viewer.answer(remote)
    answers: list[Callable[[], VideoAnswer | AudioAnswer]] = [
        lambda: answer_video(remote),
        lambda: answer_audio(remote, {}, "name", lambda: 7),
    ]
    for answer in answers:
        with contextlib.suppress(ValueError):
            _write_sdp(answer(), len(remote.media))


def _write_sdp(answer: VideoAnswer | AudioAnswer, lines: int) -> None:
    written = render(
        1, 1, _OURS, answer.sections, bundle=answer.carried.group, mixed_extensions=True
    )
    again = parse_sdp(written, ANSWER)
    assert len(again.media) == lines
    assert any(media.usable and media.codecs for media in again.media)


def read_stun_response(data: bytes) -> None:
    response = stun.parse_response(data)
    assert isinstance(stun.authentic(response, "password"), bool)


def read_dtls_beginning(data: bytes) -> None:
    random = dtls_records.client_random(data)
    assert random is None or (len(random) == 32 and random in data)
    assert not (dtls_records.is_sealed_alert(data) and random)


def read_json_inputs(data: bytes) -> None:
    _read_inputs(data, "application/json")


def read_xml_inputs(data: bytes) -> None:
    _read_inputs(data, "application/xml")


def _read_inputs(data: bytes, content_type: str) -> None:
    try:
        found = body_inputs(data, content_type)
    except DomainError as error:
        raise _refused(error) from None
    for name, _ in found.items():
        for read in (found.text, found.texts, found.flag, found.date, found.required):
            with contextlib.suppress(BadRequest):
                read(name)
        with contextlib.suppress(BadRequest):
            found.number(name, -5, 5)


def read_batch(data: bytes) -> None:
    """The bytes are a body; or, with a boundary in front of them, a part."""
    content_type = 'multipart/batching; boundary="B"'
    for body in (data, b"--B\r\n" + data + b"\r\n--B--\r\n"):
        try:
            parts = multipart.read(body, content_type, 100)
        except DomainError as error:
            raise _refused(error) from None
        assert 0 < len(parts) <= 101
        for part in parts:
            if isinstance(part, Part):
                assert part.method.isupper()
                assert not any("\n" in value for value in part.headers.values())
    answered = [(200, {"Content-Type": "text/plain"}, b"x")] * 2
    written = multipart.write(answered, "B")
    assert written.count(b"--B\r\n") == 2


def read_accept(data: bytes) -> None:
    text = data.decode("latin-1")
    form = negotiate.form_or_json(text)
    assert form.syntax in form.media_type
    negotiate.wants_html(text)
    negotiate.parameterized(text)
    with contextlib.suppress(DomainError):
        negotiate.syntax_of(text)


def _refused(error: DomainError) -> ValueError:
    """A refusal is what malformed input is to get; the server's own fault is none."""
    assert error.message
    return ValueError(error.message)


PARSERS: dict[str, Target] = {
    "rtp": read_rtp,
    "rtx": read_rtx,
    "vp8": read_vp8,
    "keyframe": read_keyframes,
    "rtcp": read_rtcp,
    "feedback": read_feedback,
    "stun": read_stun,
    "sdp": read_sdp,
    "stun-response": read_stun_response,
    "dtls": read_dtls_beginning,
    "ucwa-json": read_json_inputs,
    "ucwa-xml": read_xml_inputs,
    "ucwa-batch": read_batch,
    "ucwa-accept": read_accept,
}


def _session(key: int, ssrc_type: int) -> Session:
    policy = Policy(
        key=key.to_bytes(44, "big"),
        ssrc_type=ssrc_type,
        srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    )
    policy.allow_repeat_tx = True
    return Session(policy)


class WholePath:
    """A path between one publisher and one viewer, fed by a peer that has the right keys."""

    def __init__(self, open_path: Callable[[socket.socket], PacketPath]) -> None:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 0))
        self._server = server.getsockname()
        self._path = open_path(server)
        self._client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._client.bind(("127.0.0.1", 0))
        self._protects = _session(1, Policy.SSRC_ANY_OUTBOUND)
        self._now_us = self._number = 0
        path = self._path
        transport = path.open_transport(
            _session(1, Policy.SSRC_ANY_INBOUND),
            _session(2, Policy.SSRC_ANY_OUTBOUND),
            self._client.getsockname(),
        )
        codecs = {
            96: Codec(name="VP8", clock_rate=90_000, rtx=97),
            98: Codec(name="VP9", clock_rate=90_000, rtx=99),
            100: Codec(name="H264", clock_rate=90_000, rtx=101),
            102: Codec(name="AV1", clock_rate=90_000, rtx=103),
        }
        self._track = path.add_track(
            TrackSpec(
                transport=transport,
                kind="video",
                ssrc=SSRC,
                codecs=codecs,
                rtx_ssrc=RTX_SSRC,
                transport_cc_id=3,
            )
        )
        self._leg = path.add_leg(LegSpec(transport=transport, kind="video", ssrc=5, rtx_ssrc=6))
        self._source = Source(
            track=self._track,
            payload_types={payload_type: payload_type for payload_type in codecs},
            extensions={1: 2, 2: 14, 9: 200},
        )
        path.set_source(self._leg, self._source, 0)

    def close(self) -> None:
        self._path.close()
        self._client.close()

    def __call__(self, data: bytes) -> None:
        """As a datagram of a stranger, and as an authentic packet of the track with these bytes in it."""
        self._client.sendto(data, self._server)
        self._number += 1
        for ssrc, payload_type in ((SSRC, 96 + 2 * (self._number % 4)), (RTX_SSRC, 97)):
            first = 0x80 | data[0] & 0x3F if data else 0x80
            second = payload_type | (data[1] & 0x80 if len(data) > 1 else 0)
            packet = struct.pack("!BBHII", first, second, self._number & 0xFFFF, 0, ssrc) + data[2:]
            self._send(packet)
        self._now_us += 1_000
        self._path.drain(self._now_us)
        if self._number % 16 == 0:
            self._look()

    def _send(self, packet: bytes) -> None:
        try:
            sealed = self._protects.protect(packet)
        except (SrtpError, ValueError):
            return  # libsrtp of the sender refuses it: too long, or a header past the end
        self._client.sendto(sealed, self._server)

    def _look(self) -> None:
        path = self._path
        path.retransmit(self._leg, [self._number % 65_536, 1, 2, 3], self._number * 7)
        path.missing()
        path.levels()
        path.waiting_for_keyframe()
        path.receive_stats(self._track)
        path.send_stats(self._leg)
        if self._number % 64 == 0:
            path.set_source(self._leg, None, self._now_us)
            path.set_source(self._leg, self._source, self._now_us)
