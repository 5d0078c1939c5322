"""Taking a description apart: sections, attributes, numbers. What is in them is `sfu.sdp.remote`'s part.

One pass over the lines, so the cost grows with their number alone. A line that nobody asks for is passed over, as
RFC 8866 section 5 wants it of types and section 5.13 of attributes.
"""

from __future__ import annotations

from collections.abc import Iterator

Attributes = dict[str, list[str]]
"""Values by name, in the order of the lines; of a flag the value is its name."""

DIRECTION = "direction"
"""Where the four direction attributes are kept: their names are the values."""
DIRECTIONS = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})

_FLAGS = DIRECTIONS | {"bundle-only", "rtcp-mux", "rtcp-rsize", "extmap-allow-mixed"}
_VALUES = frozenset(
    {"fingerprint", "ice-ufrag", "ice-pwd", "setup", "group", "mid", "extmap", "rtpmap", "fmtp"}
    | {"rtcp-fb", "ssrc", "ssrc-group"}
)
"""What is read. Candidates are not: a lite agent learns addresses from checks (RFC 8445 section 7.3.1.3)."""


class Section:
    """An m-line's value, and its attributes; of the session the m-line is empty."""

    __slots__ = ("attributes", "media")

    def __init__(self, media: str) -> None:
        self.media = media
        self.attributes: Attributes = {}

    def all(self, name: str) -> list[str]:
        return self.attributes.get(name, [])

    def first(self, name: str) -> str | None:
        found = self.attributes.get(name)
        return found[0] if found else None

    def has(self, name: str) -> bool:
        return name in self.attributes


def sections(text: str) -> list[Section]:
    """The session's section and those of the m-lines, in order. A single newline ends a line too (RFC 8866, 5)."""
    current = Section("")
    found = [current]
    attributes = current.attributes
    for line in text.split("\n"):
        kind = line[:2]
        if kind == "a=":
            name, colon, value = line.rstrip()[2:].partition(":")
            if colon and name in _VALUES:
                attributes.setdefault(name, []).append(value)
            elif not colon and name in _FLAGS:
                key = DIRECTION if name in DIRECTIONS else name
                attributes.setdefault(key, []).append(name)
        elif kind == "m=":
            current = Section(line.rstrip()[2:])
            found.append(current)
            attributes = current.attributes
    return found


def number(text: str, most: int) -> int | None:
    """A number from 0 to `most` as RFC 8866 writes integers: digits without a sign or needless zeros."""
    if (
        len(text) > 10
        or not (text.isascii() and text.isdigit())
        or (text[0] == "0" and text != "0")
    ):
        return None
    value = int(text)
    return value if value <= most else None


def parameters(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Name and value of each format parameter, spaces around them left out; a bare one has an empty value."""
    for line in lines:
        for item in line.split(";"):
            name, _, value = item.partition("=")
            name = name.strip()
            if name:
                yield name, value.strip()
