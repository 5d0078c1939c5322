"""Reading what a client sent. Everything in it is untrusted; only checked tokens get further.

aiortc's parser does the reading. It is written for browsers' text and lets a handful of exceptions out for
anything else, so lines that nobody here needs are dropped first, and whatever it raises becomes ValueError.
"""

from __future__ import annotations

import re
from typing import Literal, cast

import msgspec
from aiortc import sdp

from sfu.sdp.codecs import CodecKey, key_of

MAX_LENGTH = 512 * 1024
MAX_MEDIA = 256

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
Setup = Literal["active", "passive", "actpass"]

_NEEDED = frozenset(
    {"fingerprint", "ice-ufrag", "ice-pwd", "setup", "group", "mid", "msid", "extmap", "rtpmap"}
    | {"fmtp", "rtcp-fb", "ssrc", "ssrc-group", "sendrecv", "sendonly", "recvonly", "inactive"}
)
"""Attributes that are read. Candidates are not: a lite agent learns addresses from checks."""

_SHORT = re.compile(r"[!-~]{1,64}")
_ICE_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_ICE_PWD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_UNPRINTABLE = re.compile(r"[^\t\n\r -~]")
_DIGESTS = {"sha-256": 32, "sha-384": 48, "sha-512": 64}

# What aiortc 1.16's parser raises on text that no browser writes: plain asserts, dict and list look-ups,
# `next` on a payload type without rtpmap, and attributes without a value.
_PARSER_ERRORS = (
    ValueError,
    AssertionError,
    KeyError,
    IndexError,
    StopIteration,
    TypeError,
    AttributeError,
)


class Fingerprint(msgspec.Struct, frozen=True):
    """Digest of the client's DTLS certificate (RFC 8122)."""

    algorithm: str
    value: str


class RemoteTransport(msgspec.Struct, frozen=True, kw_only=True):
    """The client's end of the one transport that all its m-lines share."""

    ufrag: str
    password: str
    fingerprints: frozenset[Fingerprint]
    setup: Setup


class RemoteCodec(msgspec.Struct, frozen=True, kw_only=True):
    """A payload type that we forward. `rtx` is the one of its retransmissions."""

    payload_type: int
    key: CodecKey
    channels: int | None
    fmtp: str
    feedback: tuple[str, ...]
    rtx: int | None


class RemoteMedia(msgspec.Struct, frozen=True, kw_only=True):
    """One m-line, without what we can't forward."""

    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str
    """Empty when the client names none."""
    rejected: bool
    direction: Direction
    codecs: tuple[RemoteCodec, ...]
    extensions: dict[str, int]
    ssrc: int | None
    rtx_ssrc: int | None

    @property
    def sends(self) -> bool:
        return not self.rejected and self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        return not self.rejected and self.direction in ("sendrecv", "recvonly")


class RemoteDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A client's offer or answer, checked."""

    transport: RemoteTransport | None
    """None when every m-line is rejected: an answer may say so."""
    media: tuple[RemoteMedia, ...]
    bundle: frozenset[str]
    mixed_extensions: bool
    """One-byte and two-byte header extensions may be mixed (RFC 8285 section 4.1.2)."""


def parse(text: str) -> RemoteDescription:
    """Read a client's session description. Raises ValueError with a reason fit for the client."""
    if len(text) > MAX_LENGTH:
        raise ValueError("longer than 512 KiB")
    if _UNPRINTABLE.search(text):
        # Also keeps out what str.splitlines takes for a line end and SDP does not.
        text = _UNPRINTABLE.sub("?", text)
    lines = [line.strip() for line in text.splitlines()]
    if not lines or lines[0] != "v=0":
        raise ValueError("does not begin with v=0")
    if sum(line.startswith("m=") for line in lines) > MAX_MEDIA:
        raise ValueError(f"more than {MAX_MEDIA} m-lines")
    return _description(_parsed(lines), "a=extmap-allow-mixed" in lines)


def _parsed(lines: list[str]) -> sdp.SessionDescription:
    kept = "\r\n".join(filter(None, map(_kept_line, _with_bundle_only_ports(lines))))
    try:
        return sdp.SessionDescription.parse(kept)
    except _PARSER_ERRORS as error:
        raise ValueError(f"not understood: {error!r}"[:200]) from None


def _with_bundle_only_ports(lines: list[str]) -> list[str]:
    """Port 0 with a=bundle-only is not a rejection (RFC 9143 section 6); aiortc can't tell the two apart."""
    result = list(lines)
    opened = 0
    for index, line in enumerate(lines):
        if line.startswith("m="):
            opened = index
        elif line == "a=bundle-only":
            result[opened] = re.sub(r"^(m=\S+) 0 ", r"\1 9 ", lines[opened])
    return result


def _kept_line(line: str) -> str | None:
    if line.startswith("m="):
        return line
    if not line.startswith("a="):
        return None
    name, _, value = line[2:].partition(":")
    if name not in _NEEDED:
        return None
    if name == "extmap":
        # Extension attributes after the URI (RFC 8285 section 5) are more than aiortc expects.
        return "a=extmap:" + " ".join(value.split()[:2])
    return line


def _description(parsed: sdp.SessionDescription, mixed: bool) -> RemoteDescription:
    media = tuple(_media(section) for section in parsed.media)
    if not media:
        raise ValueError("no m-line")
    mids = [section.mid for section in media if section.mid]
    if len(set(mids)) != len(mids) or (len(media) > 1 and len(mids) != len(media)):
        raise ValueError("m-lines need distinct mids")
    ssrcs = [ssrc for m in media for ssrc in (m.ssrc, m.rtx_ssrc) if ssrc is not None]
    if len(set(ssrcs)) != len(ssrcs):
        raise ValueError("an SSRC is used twice")
    bundle = next((group for group in parsed.group if group.semantic == "BUNDLE"), None)
    return RemoteDescription(
        transport=_transport(parsed),
        media=media,
        bundle=frozenset(map(str, bundle.items)) if bundle else frozenset(),
        mixed_extensions=mixed,
    )


def _transport(parsed: sdp.SessionDescription) -> RemoteTransport | None:
    """Of the first m-line that is not rejected: BUNDLE makes all others share it (RFC 9143 section 7.2)."""
    section = next((section for section in parsed.media if section.port), None)
    if section is None:
        return None
    if section.dtls is None or section.ice is None:
        raise ValueError("a=setup missing")
    ufrag, password = section.ice.usernameFragment or "", section.ice.password or ""
    if not _ICE_UFRAG.fullmatch(ufrag) or not _ICE_PWD.fullmatch(password):
        raise ValueError("a=ice-ufrag or a=ice-pwd missing or malformed")
    # aiortc's names: the "auto" role is actpass, "client" active, "server" passive.
    setup = sdp.DTLS_ROLE_SETUP[section.dtls.role]
    return RemoteTransport(
        ufrag=ufrag,
        password=password,
        fingerprints=frozenset(_fingerprints(section)),
        setup=cast(Setup, setup),
    )


def _fingerprints(section: sdp.MediaDescription) -> list[Fingerprint]:
    assert section.dtls is not None
    known = [
        Fingerprint(fingerprint.algorithm.lower(), fingerprint.value.upper())
        for fingerprint in section.dtls.fingerprints
        if fingerprint.algorithm.lower() in _DIGESTS
    ]
    if not known:
        raise ValueError("a=fingerprint with SHA-256 or stronger missing")
    for fingerprint in known:
        size = _DIGESTS[fingerprint.algorithm]
        if not re.fullmatch(rf"[0-9A-F]{{2}}(:[0-9A-F]{{2}}){{{size - 1}}}", fingerprint.value):
            raise ValueError("a=fingerprint malformed")
    return known


def _media(section: sdp.MediaDescription) -> RemoteMedia:
    mid = section.rtp.muxId
    if mid and not _SHORT.fullmatch(mid):
        raise ValueError("a=mid malformed")
    ssrc, rtx_ssrc = _ssrcs(section)
    return RemoteMedia(
        kind=section.kind,
        protocol=section.profile,
        formats=tuple(str(value) for value in section.fmt),
        mid=mid,
        rejected=section.port == 0,
        direction=cast(Direction, section.direction or "sendrecv"),
        codecs=_codecs(section),
        extensions=_extensions(section),
        ssrc=ssrc,
        rtx_ssrc=rtx_ssrc,
    )


def _extensions(section: sdp.MediaDescription) -> dict[str, int]:
    """Ids that both header forms can carry; 15 is reserved (RFC 8285 section 4.2)."""
    found = {extension.uri: extension.id for extension in section.rtp.headerExtensions}
    return {uri: number for uri, number in found.items() if 1 <= number <= 255 and number != 15}


def _ssrcs(section: sdp.MediaDescription) -> tuple[int | None, int | None]:
    """Media and retransmission SSRC. None when not told: rid-only simulcast, or a peer that doesn't write them."""
    known = [description.ssrc for description in section.ssrc]
    pairs = [
        (int(group.items[0]), int(group.items[1]))
        for group in section.ssrc_group
        if group.semantic == "FID" and len(group.items) == 2
    ]
    first: tuple[int, int | None] | None = None
    if pairs:
        first = pairs[0]
    elif known:
        first = (known[0], None)
    if first is None:
        return None, None
    if not all(0 < ssrc < 1 << 32 for ssrc in first if ssrc is not None):
        raise ValueError("SSRC out of range")
    return first


def _codecs(section: sdp.MediaDescription) -> tuple[RemoteCodec, ...]:
    """In the client's order of preference."""
    listed = dict.fromkeys(section.fmt)
    described = {codec.payloadType: codec for codec in section.rtp.codecs}
    retransmissions: dict[int, int] = {}
    for codec in section.rtp.codecs:
        apt = codec.parameters.get("apt")
        if codec.name.lower() == "rtx" and isinstance(apt, int) and codec.payloadType is not None:
            retransmissions.setdefault(apt, codec.payloadType)
    found = []
    for payload_type in listed:
        description = described.get(payload_type)
        if description is None:
            continue
        parameters = {name.strip(): value for name, value in description.parameters.items()}
        key = key_of(description.name, description.clockRate, parameters)
        if key is None:
            continue
        found.append(
            RemoteCodec(
                payload_type=payload_type,
                key=key,
                channels=description.channels,
                fmtp=sdp.parameters_to_sdp(parameters),
                feedback=tuple(
                    f"{feedback.type} {feedback.parameter}" if feedback.parameter else feedback.type
                    for feedback in description.rtcpFeedback
                ),
                rtx=retransmissions.get(payload_type),
            )
        )
    return tuple(found)
