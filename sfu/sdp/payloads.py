"""An m-line's payload types: which of them we forward, and how each is retransmitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from sfu.sdp.codecs import ENCODINGS, CodecKey, key_of
from sfu.sdp.grammar import Section, number, parameters

_PAYLOAD_TYPES = {str(n): n for n in (*range(64), *range(96, 128))}
"""Seven bits (RFC 3550 section 5.1), without those that multiplexed RTCP is told by (RFC 5761 section 4)."""

_RTX = "rtx/90000"
_FEEDBACK = frozenset({"nack", "nack pli", "ccm fir", "transport-cc"})
"""What an answer may agree to (RFC 4585 section 4.2); other kinds are left out."""
_EVERY = "*"


class RemoteCodec(msgspec.Struct, frozen=True, kw_only=True):
    """A payload type that we forward. `rtx` is the one of its retransmissions."""

    payload_type: int
    key: CodecKey
    fmtp: str
    feedback: tuple[str, ...]
    rtx: int | None


def codecs(section: Section, formats: Iterable[str]) -> tuple[RemoteCodec, ...]:
    """In the client's order of preference."""
    listed = dict.fromkeys(text for text in formats if text in _PAYLOAD_TYPES)
    encodings = _encodings(section, listed)
    fmtp = _by_format(section.all("fmtp"))
    feedback = _feedback(section)
    rtx = _retransmissions(encodings, fmtp)
    found = []
    for text in listed:
        encoding = encodings.get(text, _RTX)
        if encoding == _RTX:
            continue
        written = dict(parameters(fmtp.get(text, [])))
        # They are parameters of a media type, whose names have no case (RFC 2045 section 5.1).
        key = key_of(encoding, {name.lower(): value for name, value in written.items()})
        if key is None:
            continue
        found.append(
            RemoteCodec(
                payload_type=_PAYLOAD_TYPES[text],
                key=key,
                fmtp=_rewritten(written),
                feedback=(*feedback.get(text, ()), *feedback.get(_EVERY, ())),
                rtx=rtx.get(text),
            )
        )
    return tuple(found)


def _encodings(section: Section, listed: Mapping[str, str | None]) -> dict[str, str]:
    """By format, the first line of each: encodings that mean something here, in lower case."""
    found: dict[str, str] = {}
    for line in section.all("rtpmap"):
        text, _, encoding = line.partition(" ")
        encoding = encoding.strip().lower()
        if text in listed and (encoding in ENCODINGS or encoding == _RTX):
            found.setdefault(text, encoding)
    return found


def _by_format(lines: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        text, _, value = line.strip().partition(" ")
        found.setdefault(text, []).append(value)
    return found


def _feedback(section: Section) -> dict[str, dict[str, None]]:
    found: dict[str, dict[str, None]] = {}
    for line in section.all("rtcp-fb"):
        text, _, kind = line.partition(" ")
        kind = " ".join(kind.split(None, 2))
        if kind in _FEEDBACK:
            found.setdefault(text, {})[kind] = None
    return found


def _retransmissions(encodings: dict[str, str], fmtp: dict[str, list[str]]) -> dict[str, int]:
    """Payload type of the retransmissions by the format that they repeat (RFC 4588 section 8.6)."""
    found: dict[str, int] = {}
    for text, encoding in encodings.items():
        if encoding != _RTX:
            continue
        for name, value in parameters(fmtp.get(text, [])):
            if name.lower() == "apt" and number(value, 127) is not None:
                found.setdefault(value, _PAYLOAD_TYPES[text])
    return found


def _rewritten(written: dict[str, str]) -> str:
    """For our answer, which says them again: nothing in it may end the line."""
    items = (f"{name}={value}" if value else name for name, value in written.items())
    return ";".join(item for item in items if item.isascii() and item.isprintable())
