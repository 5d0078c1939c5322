"""As much SDP as a light peer needs: offers to publish, answers to what is offered, and reading both."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from load.rtp import AUDIO_LEVEL as AUDIO_LEVEL
from load.rtp import TRANSPORT_CC as TRANSPORT_CC

VIDEO_PT, VIDEO_RTX_PT, AUDIO_PT = 96, 97, 111
_EXTENSIONS = {"video": {3: TRANSPORT_CC}, "audio": {1: AUDIO_LEVEL, 3: TRANSPORT_CC}}
_CODECS = {
    "video": (
        f"a=rtpmap:{VIDEO_PT} VP8/90000",
        f"a=rtcp-fb:{VIDEO_PT} goog-remb",
        f"a=rtcp-fb:{VIDEO_PT} transport-cc",
        f"a=rtcp-fb:{VIDEO_PT} ccm fir",
        f"a=rtcp-fb:{VIDEO_PT} nack",
        f"a=rtcp-fb:{VIDEO_PT} nack pli",
        f"a=rtpmap:{VIDEO_RTX_PT} rtx/90000",
        f"a=fmtp:{VIDEO_RTX_PT} apt={VIDEO_PT}",
    ),
    "audio": (
        f"a=rtpmap:{AUDIO_PT} opus/48000/2",
        f"a=rtcp-fb:{AUDIO_PT} transport-cc",
        f"a=fmtp:{AUDIO_PT} minptime=10;useinbandfec=1",
    ),
}
_PAYLOAD_TYPES = {"video": f"{VIDEO_PT} {VIDEO_RTX_PT}", "audio": str(AUDIO_PT)}
_REPLACED = (
    "a=ice-",
    "a=fingerprint:",
    "a=setup:",
    "a=candidate:",
    "a=end-of-candidates",
    "a=ssrc",
    "a=msid",
    "a=rtcp:",
    "c=",
    "b=",
)
_DIRECTIONS = {
    "a=sendonly": "a=recvonly",
    "a=recvonly": "a=sendonly",
    "a=sendrecv": "a=sendrecv",
    "a=inactive": "a=inactive",
}


@dataclass(frozen=True)
class Local:
    """A peer's own ICE and DTLS parameters."""

    ufrag: str
    password: str
    fingerprint: str
    address: tuple[str, int]


@dataclass(frozen=True)
class Sending:
    """An m-line that sends: what, and under which SSRCs."""

    kind: str
    ssrc: int
    rtx_ssrc: int | None = None
    receives: bool = False


@dataclass(frozen=True)
class Wire:
    """How a stream is written, as negotiated. Header-extension ids are 0 when not negotiated."""

    kind: str
    ssrc: int
    payload_type: int
    transport_cc: int
    audio_level: int


@dataclass
class RemoteMedia:
    kind: str
    port: int
    mid: str = ""
    direction: str = "sendrecv"
    extensions: dict[str, int] = field(default_factory=dict)
    payload_types: dict[str, int] = field(default_factory=dict)
    """By codec name in lower case."""
    ssrcs: list[int] = field(default_factory=list)
    retransmissions: set[int] = field(default_factory=set)

    def heard(self) -> list[int]:
        """SSRCs that carry media, not repeats of it."""
        return [ssrc for ssrc in self.ssrcs if ssrc not in self.retransmissions]


@dataclass
class Remote:
    """The other side's description."""

    ufrag: str = ""
    password: str = ""
    lite: bool = False
    candidates: list[tuple[str, int]] = field(default_factory=list)
    """UDP host candidates, IPv4."""
    media: list[RemoteMedia] = field(default_factory=list)


def offer(
    local: Local, sending: Sequence[Sending], receiving: Sequence[str] = (), cname: str = "bench"
) -> str:
    """Offer to send each of `sending`; then an m-line for each kind in `receiving` that only receives.

    We offer to be the DTLS client (RFC 8842 section 5.2 allows it), so that one role is enough here.
    """
    sections = [_sending_section(index, media, cname) for index, media in enumerate(sending)]
    sections += [
        _section(kind, len(sending) + index, "recvonly") for index, kind in enumerate(receiving)
    ]
    return _description(local, sections)


def answer(local: Local, offered: str) -> str:
    """Accept everything offered, receiving where the other side sends; DTLS client again."""
    sections: list[list[str]] = []
    for line in offered.splitlines():
        if line.startswith("m="):
            sections.append([line, "c=IN IP4 0.0.0.0"])
        elif sections and not line.startswith(_REPLACED):
            sections[-1].append(_DIRECTIONS.get(line, line))
    return _description(local, sections)


def parse(text: str) -> Remote:
    """Read a description. Lines that a load client has no use for are passed over."""
    remote = Remote()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if line.startswith("m="):
            kind, port = line[2:].split()[:2]
            remote.media.append(RemoteMedia(kind=kind, port=int(port)))
        elif key == "a=ice-ufrag":
            remote.ufrag = value
        elif key == "a=ice-pwd":
            remote.password = value
        elif line == "a=ice-lite":
            remote.lite = True
        elif key == "a=candidate":
            _read_candidate(remote, value)
        elif remote.media:
            _read_media_line(remote.media[-1], line, key, value)
    return remote


def negotiated(sending: Sending, answered: RemoteMedia) -> Wire:
    """How to write a stream, from our m-line and the answer to it. Raises ValueError."""
    codec = "opus" if sending.kind == "audio" else "vp8"
    if codec not in answered.payload_types:
        raise ValueError(f"the answer has no {codec}")
    return Wire(
        kind=sending.kind,
        ssrc=sending.ssrc,
        payload_type=answered.payload_types[codec],
        transport_cc=answered.extensions.get(TRANSPORT_CC, 0),
        audio_level=answered.extensions.get(AUDIO_LEVEL, 0),
    )


def sending(kind: str, *, receives: bool = False) -> Sending:
    """An m-line with fresh SSRCs: `audio`, or any name of a video."""
    ssrc = secrets.randbits(31) | 1
    if kind == "audio":
        return Sending("audio", ssrc, receives=receives)
    return Sending("video", ssrc, ssrc ^ 1)


def _read_candidate(remote: Remote, value: str) -> None:
    fields = value.split()
    udp_host = fields[2].lower() == "udp" and fields[7] == "host" and ":" not in fields[4]
    candidate = (fields[4], int(fields[5]))
    if udp_host and fields[1] == "1" and candidate not in remote.candidates:
        remote.candidates.append(candidate)


def _read_media_line(media: RemoteMedia, line: str, key: str, value: str) -> None:
    if line in _DIRECTIONS:
        media.direction = line[2:]
    elif key == "a=mid":
        media.mid = value
    elif key == "a=extmap":
        identifier, uri = value.split()[:2]
        media.extensions[uri] = int(identifier.split("/")[0])
    elif key == "a=rtpmap":
        payload_type, codec = value.split()[:2]
        media.payload_types.setdefault(codec.split("/")[0].lower(), int(payload_type))
    elif key == "a=ssrc":
        ssrc = int(value.split()[0])
        if ssrc not in media.ssrcs:
            media.ssrcs.append(ssrc)
    elif key == "a=ssrc-group" and value.startswith("FID"):
        media.retransmissions.add(int(value.split()[2]))


def _sending_section(index: int, media: Sending, cname: str) -> list[str]:
    lines = _section(media.kind, index, "sendrecv" if media.receives else "sendonly")
    lines.append(f"a=msid:{cname} {cname}-{index}")
    if media.rtx_ssrc is not None:
        lines.append(f"a=ssrc-group:FID {media.ssrc} {media.rtx_ssrc}")
        lines.append(f"a=ssrc:{media.rtx_ssrc} cname:{cname}")
    lines.append(f"a=ssrc:{media.ssrc} cname:{cname}")
    return lines


def _section(kind: str, index: int, direction: str) -> list[str]:
    return [
        f"m={kind} 9 UDP/TLS/RTP/SAVPF {_PAYLOAD_TYPES[kind]}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{index}",
        f"a={direction}",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        *_CODECS[kind],
        *(f"a=extmap:{identifier} {uri}" for identifier, uri in _EXTENSIONS[kind].items()),
    ]


def _description(local: Local, sections: list[list[str]]) -> str:
    mids = [line[6:] for section in sections for line in section if line.startswith("a=mid:")]
    host, port = local.address
    transport = [
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        "a=setup:active",
        f"a=candidate:1 1 udp 2130706431 {host} {port} typ host",
        "a=end-of-candidates",
    ]
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {' '.join(mids)}",
        "a=msid-semantic:WMS *",
    ]
    for section in sections:
        lines += section + transport
    return "\r\n".join(lines) + "\r\n"
