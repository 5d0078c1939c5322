"""The dearest descriptions that are accepted, each of another kind: as much of one thing as the bounds let through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

from sdp_samples import FINGERPRINT

from schemas.descriptions import LONGEST_SECTION, MOST_FORMATS, Bounds, excess
from sfu.sdp import extensions

_TRANSPORT = [
    "a=ice-ufrag:abcd",
    "a=ice-pwd:" + "p" * 24,
    f"a=fingerprint:sha-256 {FINGERPRINT}",
    "a=setup:actpass",
    "a=rtcp-mux",
]
_CODECS = {
    "audio": ["opus/48000/2"],
    "video": ["VP8/90000", "VP9/90000", "H264/90000", "AV1/90000", "H264/90000"],
}
_FMTP = ["a=1", "profile-id=2", "profile-level-id=640c1f;packetization-mode=1", "profile=1", "x;y"]
_PAYLOAD_TYPES = [*range(96, 128), *range(64)]

Lines = Callable[[str, int], Iterator[str]]
"""Ever more lines of an m-line's section, by kind and place."""


def _formats(kind: str, place: int) -> Iterator[str]:
    """Codecs that are all forwarded, with their retransmissions, parameters and feedback."""
    for index, (number, other) in enumerate(
        zip(_PAYLOAD_TYPES[::2], _PAYLOAD_TYPES[1::2], strict=True)
    ):
        names = _CODECS[kind]
        yield f"a=rtpmap:{number} {names[index % len(names)]}"
        yield f"a=fmtp:{number} {_FMTP[index % len(_FMTP)]};u{place}"
        yield f"a=rtpmap:{other} rtx/90000"
        yield f"a=fmtp:{other} apt={number}"
        yield f"a=rtcp-fb:{number} nack pli"
        yield f"a=rtcp-fb:{number} transport-cc"


def _parameters(kind: str, place: int) -> Iterator[str]:
    for number in _PAYLOAD_TYPES:
        yield f"a=rtpmap:{number} {_CODECS[kind][0]}"
        yield f"a=fmtp:{number} " + ";".join(f"{chr(97 + n)}{place}" for n in range(24))


def _feedback(kind: str, place: int) -> Iterator[str]:
    yield f"a=rtpmap:96 {_CODECS[kind][0]}"
    for number in range(LONGEST_SECTION):
        yield f"a=rtcp-fb:{number} nack pli"


def _extensions(kind: str, place: int) -> Iterator[str]:
    yield f"a=rtpmap:96 {_CODECS[kind][0]}"
    yield f"a=extmap:254 urn:{place}"
    for number, uri in zip(range(1, 14), [*sorted(extensions.KNOWN)] * 2, strict=False):
        yield f"a=extmap:{number}/sendrecv {uri}"
    for number in range(16, 64):
        yield f"a=extmap:{number} urn:{number}"


def _ssrcs(kind: str, place: int) -> Iterator[str]:
    yield f"a=rtpmap:96 {_CODECS[kind][0]}"
    for number in range(LONGEST_SECTION):
        yield f"a=ssrc:0{number} cname:x"
    for number in range(LONGEST_SECTION):
        yield f"a=ssrc-group:FID {number} {number}"


def _fingerprints(kind: str, place: int) -> Iterator[str]:
    yield f"a=rtpmap:96 {_CODECS[kind][0]}"
    for _ in range(LONGEST_SECTION):
        yield "a=fingerprint:sha-256 " + ":".join([f"{place % 256:02x}"] * 32)


def _flags(kind: str, place: int) -> Iterator[str]:
    yield f"a=rtpmap:96 {_CODECS[kind][0]}"
    while True:
        yield "a=inactive"


def _unknown(kind: str, place: int) -> Iterator[str]:
    yield f"a=rtpmap:96 {_CODECS[kind][0]}"
    for number in count():
        yield f"a=x{number}:y"


SHAPES: dict[str, Lines] = {
    "codecs": _formats,
    "format parameters": _parameters,
    "feedback": _feedback,
    "extensions": _extensions,
    "SSRCs": _ssrcs,
    "fingerprints": _fingerprints,
    "directions": _flags,
    "unknown attributes": _unknown,
}


def worst(shape: str, kind: str, bounds: Bounds, media: int) -> str:
    """As many lines of it as are let through, over so many m-lines of one group."""
    sources = [SHAPES[shape](kind, place) for place in range(media)]
    mids = [f"{place}" for place in range(media)]
    sections = [
        [
            f"m={kind} {mid}9 UDP/TLS/RTP/SAVPF " + " ".join(map(str, _formats_of(shape))),
            f"a=mid:{mid}",
            *_TRANSPORT,
        ]
        for mid in mids
    ]
    head = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE " + " ".join(mids)]
    return _filled(head, sections, sources, bounds)


def _formats_of(shape: str) -> list[int]:
    if shape in ("codecs", "format parameters"):
        return _PAYLOAD_TYPES[:MOST_FORMATS]
    return [96]


def _filled(
    head: list[str], sections: list[list[str]], sources: list[Iterator[str]], bounds: Bounds
) -> str:
    """Round by round a line more for each m-line, by halves when that becomes too much."""

    def text() -> str:
        return "\n".join([*head, *(line for section in sections for line in section)]) + "\n"

    while True:
        before = [len(section) for section in sections]
        for section, source in zip(sections, sources, strict=True):
            section += [line for _, line in zip(range(8), source, strict=False)]
        if excess(text(), bounds) or before == [len(section) for section in sections]:
            for section, length in zip(sections, before, strict=True):
                del section[length:]
            return text()


def crowded(bounds: Bounds, kind: str) -> str:
    """As many m-lines, formats and group members as there may be."""
    mids = [f"{place}" for place in range(bounds.media)]
    head = ["v=0", *(["a=group:BUNDLE " + " ".join([*mids, *map(str, range(1000, 1600))])] * 8)]
    numbers = " ".join(map(str, _PAYLOAD_TYPES[:MOST_FORMATS]))
    sections = [
        [
            f"m={kind} {mid}9 UDP/TLS/RTP/SAVPF {numbers}",
            f"a=mid:{mid}",
            "a=rtcp-mux",
            "a=rtpmap:96 VP8/90000",
        ]
        for mid in mids
    ]
    sections[-1] += _TRANSPORT
    lines = [*head, *(line for section in sections for line in section)]
    while excess("\n".join(lines), bounds):
        lines.remove(sections.pop(0)[0])
    return "\n".join(lines) + "\n"
