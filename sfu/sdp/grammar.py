"""Taking a description apart: sections, attributes, numbers. What is in them is `sfu.sdp.remote`'s part.

One pass over the lines, so the cost grows with their number alone. A line that nobody asks for is passed over, as
RFC 8866 section 5 wants it of types and section 5.13 of attributes. The m-lines of a large description repeat each
other: what is the same is read once, and only so many lines that differ.
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
    {"fingerprint", "ice-ufrag", "ice-pwd", "setup", "group", "extmap", "rtpmap", "fmtp"}
    | {"rtcp-fb", "ssrc", "ssrc-group"}
)
"""What is read. Candidates are not: a lite agent learns addresses from checks (RFC 8445 section 7.3.1.3)."""


MOST_READ = 1024
"""Lines and format parameters that are read of all m-lines together, those that repeat another m-line's aside."""


class Section:
    """An m-line's value, its mid and its attributes, which it shares with every m-line that has the same.

    Of the session, value and mid are empty.
    """

    __slots__ = ("attributes", "media", "mid")

    def __init__(self, media: str, mid: str, attributes: Attributes) -> None:
        self.media = media
        self.mid = mid
        self.attributes = attributes

    def all(self, name: str) -> list[str]:
        return self.attributes.get(name, [])

    def first(self, name: str) -> str | None:
        found = self.attributes.get(name)
        return found[0] if found else None

    def has(self, name: str) -> bool:
        return name in self.attributes

    @property
    def is_read(self) -> bool:
        return self.attributes is not UNREAD


UNREAD: Attributes = {}
"""The attributes of an m-line that would have been too much."""


def sections(text: str) -> tuple[Section, list[Section]]:
    """The session's section and those of the m-lines, in order. A single newline ends a line too (RFC 8866, 5)."""
    head, *parts = text.split("\nm=")
    read: dict[str, Attributes] = {}
    left = MOST_READ
    found = []
    for part in parts:
        media, _, body = part.partition("\n")
        # The one line in which m-lines always differ.
        before, _, rest = f"\n{body}".partition("\na=mid:")
        mid, _, after = rest.partition("\n")
        key = f"{before}\n{after}"
        attributes = read.get(key)
        if attributes is None:
            left -= key.count("\n") + key.count(";")
            attributes = read[key] = _attributes(key) if left >= 0 else UNREAD
        found.append(Section(media.rstrip(), mid.strip(), attributes))
    return Section("", "", _attributes(head)), found


def _attributes(text: str) -> Attributes:
    found: Attributes = {}
    for line in text.split("\n"):
        if line[:2] != "a=":
            continue
        name, colon, value = line.rstrip()[2:].partition(":")
        if colon and name in _VALUES:
            found.setdefault(name, []).append(value)
        elif not colon and name in _FLAGS:
            found.setdefault(DIRECTION if name in DIRECTIONS else name, []).append(name)
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
