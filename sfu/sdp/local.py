"""Writing our session descriptions."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

import msgspec

from sfu.sdp.remote import Direction, Setup
from sfu.wire.address import Address

PROTOCOL = "UDP/TLS/RTP/SAVPF"
"""Of our offers. An answer repeats the client's (RFC 8829 section 5.1.2)."""


class LocalTransport(msgspec.Struct, frozen=True, kw_only=True):
    """Our end of a connection. Every m-line carries it, so that it does not matter which one a client reads."""

    ufrag: str
    password: str
    fingerprint: str
    """SHA-256 of our certificate, upper-case pairs with colons."""
    setup: Setup
    candidates: tuple[Address, ...]
    """Announced addresses, the preferred one first."""


class LocalCodec(msgspec.Struct, frozen=True, kw_only=True):
    payload_type: int
    rtpmap: str
    fmtp: str = ""
    feedback: tuple[str, ...] = ()


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """What we send on an m-line: `stream` and `track` make its msid (RFC 8830)."""

    stream: str
    track: str
    ssrc: int
    rtx_ssrc: int | None
    cname: str


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One m-line of ours."""

    kind: str
    mid: str
    direction: Direction
    codecs: tuple[LocalCodec, ...]
    extensions: dict[str, int]
    protocol: str = PROTOCOL
    extension_directions: dict[str, Direction] = {}
    """Of those that are not for both directions."""
    mixed_extensions: bool = False
    """a=extmap-allow-mixed of its own; `render` writes the one for all m-lines."""
    reduced_size: bool = True
    """RTCP may be sent without a report in front (RFC 5506)."""
    stream: Stream | None = None


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """An m-line that we refuse: its port is 0 and it repeats what the client wrote (RFC 3264 section 6)."""

    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str


def bundle_of(sections: list[Section | Rejected]) -> tuple[str, ...]:
    """All that are not refused, in order: our own offers have one transport."""
    return tuple(section.mid for section in sections if isinstance(section, Section))


def render(
    session: int,
    version: int,
    transport: LocalTransport,
    sections: list[Section | Rejected],
    *,
    bundle: tuple[str, ...],
    mixed_extensions: bool,
) -> str:
    """The text of an offer or an answer. `session` names the connection, `version` grows with every description.

    `bundle` are the mids of the BUNDLE group, the tagged one first (RFC 9143 section 7); without any there is no group.
    """
    lines = ["v=0", f"o=- {session} {version} IN IP4 127.0.0.1", "s=-", "t=0 0", "a=ice-lite"]
    if bundle:
        lines.append("a=group:BUNDLE " + " ".join(bundle))
    if mixed_extensions:
        lines.append("a=extmap-allow-mixed")
    lines.append("a=msid-semantic: WMS *")
    for section in sections:
        if isinstance(section, Section):
            lines += _section(section, transport)
        else:
            lines += _rejected(section)
    return "\r\n".join(lines) + "\r\n"


def _section(section: Section, transport: LocalTransport) -> list[str]:
    payload_types, codecs = _codecs(section.codecs)
    host, port = transport.candidates[0][:2]
    lines = [
        f"m={section.kind} {port} {section.protocol} {payload_types}",
        f"c=IN IP{ipaddress.ip_address(host).version} {host}",
        *_transport(transport),
    ]
    if section.mid:
        lines.append(f"a=mid:{section.mid}")
    if section.mixed_extensions:
        lines.append("a=extmap-allow-mixed")
    lines += _extensions(section)
    lines += [f"a={section.direction}", "a=rtcp-mux"]
    if section.reduced_size:
        lines.append("a=rtcp-rsize")
    if codecs:
        lines.append(codecs)
    if section.stream:
        lines += _stream(section.stream)
    return lines


def _extensions(section: Section) -> list[str]:
    lines = []
    for uri, number in section.extensions.items():
        direction = section.extension_directions.get(uri)
        lines.append(
            f"a=extmap:{number}/{direction} {uri}" if direction else f"a=extmap:{number} {uri}"
        )
    return lines


def _transport(transport: LocalTransport) -> list[str]:
    return [
        f"a=ice-ufrag:{transport.ufrag}",
        f"a=ice-pwd:{transport.password}",
        f"a=fingerprint:sha-256 {transport.fingerprint}",
        f"a=setup:{transport.setup}",
        *(_candidate(index, address) for index, address in enumerate(transport.candidates)),
        "a=end-of-candidates",
    ]


def _candidate(index: int, address: Address) -> str:
    # RFC 8445 section 5.1.2.1: type preference 126 for host, then our order, then the component.
    priority = (126 << 24) + ((65535 - index) << 8) + 255
    return f"a=candidate:{index + 1} 1 udp {priority} {address[0]} {address[1]} typ host"


@lru_cache(maxsize=64)
def _codecs(codecs: tuple[LocalCodec, ...]) -> tuple[str, str]:
    """Payload types and lines. The m-lines of an offer are a hundred at times, and nearly all alike in this."""
    payload_types = " ".join(str(codec.payload_type) for codec in codecs)
    return payload_types, "\r\n".join(line for codec in codecs for line in _codec(codec))


def _codec(codec: LocalCodec) -> list[str]:
    lines = [f"a=rtpmap:{codec.payload_type} {codec.rtpmap}"]
    lines += [f"a=rtcp-fb:{codec.payload_type} {feedback}" for feedback in codec.feedback]
    if codec.fmtp:
        lines.append(f"a=fmtp:{codec.payload_type} {codec.fmtp}")
    return lines


def _stream(stream: Stream) -> list[str]:
    lines = [f"a=msid:{stream.stream} {stream.track}"]
    ssrcs = [stream.ssrc]
    if stream.rtx_ssrc is not None:
        ssrcs.append(stream.rtx_ssrc)
        lines.append(f"a=ssrc-group:FID {stream.ssrc} {stream.rtx_ssrc}")
    for ssrc in ssrcs:
        lines.append(f"a=ssrc:{ssrc} cname:{stream.cname}")
        # Plan B's form too: aiortc and older Safari read the msid from here.
        lines.append(f"a=ssrc:{ssrc} msid:{stream.stream} {stream.track}")
    return lines


def _rejected(section: Rejected) -> list[str]:
    lines = [
        f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}",
        "c=IN IP4 0.0.0.0",
        "a=inactive",
    ]
    if section.mid:
        lines.append(f"a=mid:{section.mid}")
    return lines
