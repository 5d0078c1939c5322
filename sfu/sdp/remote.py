"""Reading what a client sent. Everything in it is untrusted; only checked tokens get further.

What is not understood is ignored. An m-line that can't be used says so (`fault`) and costs the others nothing.
ValueError is for a description of which nothing can be used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, cast

import msgspec

from schemas.descriptions import OFFER, Bounds, excess
from sfu.sdp import extensions, payloads
from sfu.sdp.grammar import DIRECTION, DIRECTIONS, Section, number, sections
from sfu.sdp.payloads import RemoteCodec

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
Setup = Literal["active", "passive", "actpass"]

_SETUPS = frozenset({"active", "passive", "actpass"})
_PROTOCOLS = frozenset(
    {"RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF"}
    | {f"{lower}/RTP/{upper}" for lower in ("UDP/TLS", "TCP/DTLS") for upper in ("SAVP", "SAVPF")}
)
"""All are taken for DTLS-SRTP with feedback (RFC 8829 section 5.1.2)."""

_MID = re.compile(r"[!-~]{1,64}")
_ICE_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_ICE_PWD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_DIGESTS = {
    hash_function: re.compile(rf"[0-9A-F]{{2}}(:[0-9A-F]{{2}}){{{octets - 1}}}")
    for hash_function, octets in (("sha-512", 64), ("sha-384", 48), ("sha-256", 32))
}
"""How a digest of each hash function looks, the preferred one first."""
_LARGEST_SSRC = (1 << 32) - 1


class Fingerprint(msgspec.Struct, frozen=True):
    """Digest of the client's DTLS certificate (RFC 8122)."""

    algorithm: str
    value: str


class RemoteTransport(msgspec.Struct, frozen=True, kw_only=True):
    """The client's end of a transport."""

    ufrag: str
    password: str
    tls_id: str | None = None
    """Names the DTLS association; another one demands another association (RFC 8842 section 4)."""
    fingerprints: frozenset[Fingerprint]
    """Of one hash function; the certificate is any of those named."""
    setup: Setup


class RemoteMedia(msgspec.Struct, frozen=True, kw_only=True):
    """One m-line, without what we can't forward."""

    place: int
    """Counted from 1."""
    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str
    """Empty when the client names none."""
    rejected: bool
    """By the client: port 0."""
    fault: str
    """Why we can't use it, in words; empty when we can."""
    direction: Direction
    codecs: tuple[RemoteCodec, ...]
    extensions: dict[str, int]
    extension_directions: dict[str, Direction]
    """Of those that are not for both directions."""
    mixed_extensions: bool
    """a=extmap-allow-mixed of its own."""
    mux: bool
    reduced_size: bool
    ssrc: int | None
    rtx_ssrc: int | None
    transport: RemoteTransport | str
    """Its own, with what the session's section adds; or what is wrong with that, in words."""

    @property
    def usable(self) -> bool:
        return not self.rejected and not self.fault

    @property
    def sends(self) -> bool:
        return self.usable and self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        return self.usable and self.direction in ("sendrecv", "recvonly")

    def sent_extensions(self) -> dict[str, int]:
        """Ids of those that the client may put into what it sends."""
        return self._extensions("recvonly")

    def received_extensions(self) -> dict[str, int]:
        return self._extensions("sendonly")

    def _extensions(self, other: Direction) -> dict[str, int]:
        directions = self.extension_directions
        return {uri: n for uri, n in self.extensions.items() if directions.get(uri) != other}


class RemoteDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A client's offer or answer, checked."""

    media: tuple[RemoteMedia, ...]
    bundles: tuple[tuple[str, ...], ...]
    """The mids of each BUNDLE group, in the group's order (RFC 9143 section 7)."""
    mixed_extensions: bool
    """One-byte and two-byte header extensions may be mixed on all m-lines (RFC 8285 section 4.1.2)."""


def parse(text: str, bounds: Bounds = OFFER) -> RemoteDescription:
    """Read a client's session description. Raises ValueError with a reason fit for the client."""
    if too_much := excess(text, bounds):
        raise ValueError(too_much)
    if text.partition("\n")[0].rstrip() != "v=0":
        raise ValueError("does not begin with v=0")
    session, media = sections(text)
    if not media:
        raise ValueError("no m-line")
    groups = _groups(session)
    reader = _Reader(session, frozenset().union(*groups))
    return RemoteDescription(
        media=tuple(reader.media(section, place) for place, section in enumerate(media, 1)),
        bundles=_bundles(groups, reader.mids),
        mixed_extensions=session.has("extmap-allow-mixed"),
    )


def _groups(session: Section) -> list[list[str]]:
    groups = (value.split() for value in session.all("group"))
    return [mids for semantics, *mids in filter(None, groups) if semantics == "BUNDLE"]


def _bundles(groups: list[list[str]], mids: set[str]) -> tuple[tuple[str, ...], ...]:
    """The groups without what no m-line is called; nobody is in two (RFC 9143 section 7)."""
    left = set(mids)
    found = []
    for group in groups:
        members = tuple(mid for mid in dict.fromkeys(group) if mid in left)
        left.difference_update(members)
        if members:
            found.append(members)
    return tuple(found)


class _Attributes(msgspec.Struct, frozen=True, kw_only=True):
    """What the attributes of an m-line say; names as in RemoteMedia."""

    direction: Direction
    extensions: dict[str, int]
    extension_directions: dict[str, Direction]
    mixed_extensions: bool
    mux: bool
    reduced_size: bool
    ssrc: int | None
    rtx_ssrc: int | None
    transport: RemoteTransport | str


class _Reader:
    """Reads the m-lines of one description, in order. What they have in common is read once."""

    def __init__(self, session: Section, bundled: frozenset[str]) -> None:
        self._session = session
        self._bundled = bundled
        self.mids: set[str] = set()
        self._attributes: dict[int, _Attributes] = {}
        self._codecs: dict[tuple[int, str], tuple[RemoteCodec, ...]] = {}

    def media(self, section: Section, place: int) -> RemoteMedia:
        """Raises ValueError for an m-line that no answer could repeat."""
        kind, port, protocol, formats = _m_line(section.media, place)
        mid, fault = self._mid(section.mid)
        known = number(port, 65535)
        if known is None:
            fault = "its port is not a number"
        elif protocol not in _PROTOCOLS:
            fault = "its protocol is not RTP over DTLS"
        elif not section.is_read:
            fault = "with it, too many lines differ from m-line to m-line"
        attributes = self._attributes_of(section)
        return RemoteMedia(
            place=place,
            kind=kind,
            protocol=protocol,
            formats=tuple(formats.split(" ")),
            mid=mid,
            # Bundle-only in a group, port 0 is no rejection (RFC 9143 section 6).
            rejected=known == 0 and not (section.has("bundle-only") and mid in self._bundled),
            fault=fault,
            direction=attributes.direction,
            codecs=self._codecs_of(section, formats),
            extensions=attributes.extensions,
            extension_directions=attributes.extension_directions,
            mixed_extensions=attributes.mixed_extensions,
            mux=attributes.mux,
            reduced_size=attributes.reduced_size,
            ssrc=attributes.ssrc,
            rtx_ssrc=attributes.rtx_ssrc,
            transport=attributes.transport,
        )

    def _mid(self, mid: str) -> tuple[str, str]:
        """The mid, or why it is none."""
        if not mid:
            return "", ""
        if not _MID.fullmatch(mid):
            return "", "its a=mid is malformed"
        if mid in self.mids:
            return "", "its a=mid is another m-line's"
        self.mids.add(mid)
        return mid, ""

    def _codecs_of(self, section: Section, formats: str) -> tuple[RemoteCodec, ...]:
        key = id(section.attributes), formats
        found = self._codecs.get(key)
        if found is None:
            found = self._codecs[key] = payloads.codecs(section, formats.split(" "))
        return found

    def _attributes_of(self, section: Section) -> _Attributes:
        found = self._attributes.get(id(section.attributes))
        if found is None:
            found = self._attributes[id(section.attributes)] = self._read(section)
        return found

    def _read(self, section: Section) -> _Attributes:
        session = self._session
        uris, directions = _extensions(section.all("extmap") or session.all("extmap"))
        ssrc, rtx_ssrc = _ssrcs(section)
        return _Attributes(
            direction=_direction(section, session),
            extensions=uris,
            extension_directions=directions,
            mixed_extensions=section.has("extmap-allow-mixed"),
            mux=section.has("rtcp-mux"),
            reduced_size=section.has("rtcp-rsize"),
            ssrc=ssrc,
            rtx_ssrc=rtx_ssrc,
            transport=_transport_of(section, session),
        )


def _m_line(text: str, place: int) -> list[str]:
    """Its four fields; the last are the formats. By hand, as an m-line may have a hundred of them."""
    fields = text.split(" ", 3)
    if (
        len(fields) < 4
        or "" in fields
        or "  " in text
        or not (text.isascii() and text.isprintable())
    ):
        raise ValueError(f"m-line {place} is not m=MEDIA PORT PROTOCOL FORMATS")
    return fields


def _transport_of(section: Section, session: Section) -> RemoteTransport | str:
    # The session's count where the m-line has none of its own: RFC 8839 section 5.4, RFC 8122 section 5.
    ufrag, password, setup, tls_id = (section.first(n) or session.first(n) for n in _TRANSPORT)
    fingerprints = section.all("fingerprint") or session.all("fingerprint")
    return _transport(ufrag, password, setup, tls_id, fingerprints)


_TRANSPORT = ("ice-ufrag", "ice-pwd", "setup", "tls-id")


def _transport(
    ufrag: str | None,
    password: str | None,
    setup: str | None,
    tls_id: str | None,
    lines: list[str],
) -> RemoteTransport | str:
    """The transport, or what is wrong with it."""
    if not ufrag or not password:
        return "a=ice-ufrag or a=ice-pwd missing"
    if not _ICE_UFRAG.fullmatch(ufrag) or not _ICE_PWD.fullmatch(password):
        return "a=ice-ufrag or a=ice-pwd malformed"
    if setup is None:
        return "a=setup missing"
    if setup not in _SETUPS:
        return "a=setup is none of active, passive and actpass"
    fingerprints = _fingerprints(lines)
    if not fingerprints:
        return "a=fingerprint with SHA-256 or stronger missing or malformed"
    return RemoteTransport(
        ufrag=ufrag,
        password=password,
        tls_id=tls_id,
        fingerprints=frozenset(fingerprints),
        setup=cast(Setup, setup),
    )


def _fingerprints(lines: list[str]) -> list[Fingerprint]:
    """Those of the preferred hash function that the client names (RFC 8122 section 5)."""
    found: dict[str, list[Fingerprint]] = {}
    for line in lines:
        name, _, digest = line.strip().partition(" ")
        name, digest = name.lower(), digest.strip().upper()
        if name in _DIGESTS and _DIGESTS[name].fullmatch(digest):
            found.setdefault(name, []).append(Fingerprint(name, digest))
    return next((found[name] for name in _DIGESTS if name in found), [])


def _direction(section: Section, session: Section) -> Direction:
    """RFC 8866 section 6.7: the session's is the default."""
    found = section.all(DIRECTION) or session.all(DIRECTION) or ["sendrecv"]
    return cast(Direction, found[-1])


def _extensions(lines: Iterable[str]) -> tuple[dict[str, int], dict[str, Direction]]:
    """Ids that both header forms can carry, and directions; 15 is reserved (RFC 8285 section 4.2)."""
    uris: dict[str, int] = {}
    directions: dict[str, Direction] = {}
    taken: set[int] = set()
    for line in lines:
        identifier, _, rest = line.partition(" ")
        text, _, direction = identifier.partition("/")
        # Extension attributes may follow the URI (RFC 8285 section 8).
        uri = rest.strip().partition(" ")[0]
        local = number(text, 255)
        if not local or local == 15 or local in taken or uri in uris:
            continue
        if direction and direction not in DIRECTIONS:
            continue
        taken.add(local)
        if uri not in extensions.KNOWN or direction == "inactive":
            continue
        uris[uri] = local
        if direction in ("sendonly", "recvonly"):
            directions[uri] = cast(Direction, direction)
    return uris, directions


def _ssrcs(section: Section) -> tuple[int | None, int | None]:
    """Media and retransmission SSRC. None when not told: rid-only simulcast, or a peer that doesn't write them."""
    for line in section.all("ssrc-group"):
        semantics, *texts = line.split(None, 3) or [""]
        pair = [ssrc for text in texts if (ssrc := number(text, _LARGEST_SSRC))]
        if semantics == "FID" and len(texts) == len(pair) == 2 and pair[0] != pair[1]:
            return pair[0], pair[1]
    for line in section.all("ssrc"):
        if ssrc := number(line.partition(" ")[0], _LARGEST_SSRC):
            return ssrc, None
    return None, None
