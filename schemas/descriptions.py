"""How much a session description may hold, before anything takes it apart. Pure.

API processes refuse what is too much with the client's own request, and workers look again, because all media of a
worker waits while it reads one. With these bounds, reading the worst description takes less than 5 ms.
"""

from __future__ import annotations

import msgspec


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Of a whole description. `parameters`: those of a=fmtp, all formats together."""

    octets: int
    lines: int
    media: int
    parameters: int


OFFER = Bounds(octets=64 * 1024, lines=2048, media=64, parameters=2048)
"""A browser's camera takes 8 KiB and 150 lines, a microphone with 16 m-lines for others 20 KiB and 600 lines."""
ANSWER = Bounds(octets=256 * 1024, lines=6144, media=200, parameters=6144)
"""To our own offers, which have an m-line for each video: a browser writes 3 KiB and 80 lines for one."""

LONGEST_LINE = 4096
MOST_FORMATS = 100
"""Of an m-line; there are 96 payload types to give."""
MOST_OF_A_SECTION = {
    "group": 8,
    "fingerprint": 8,
    "mid": 4,
    "ssrc": 128,
    "ssrc-group": 64,
    "rtpmap": 100,
    "fmtp": 100,
    "rtcp-fb": 300,
    "extmap": 64,
    "candidate": 128,
}
"""Lines of one attribute, in an m-line's section or in the session's."""


def excess(text: str, bounds: Bounds) -> str | None:
    """What is too much of it, in words; None when it may be read."""
    if len(text) > bounds.octets or _octets(text) > bounds.octets:
        return f"longer than {bounds.octets // 1024} KiB"
    if text.count("\n") > bounds.lines:
        return f"more than {bounds.lines} lines"
    if text.count(";") > bounds.parameters:
        return f"more than {bounds.parameters} format parameters"
    if max(map(len, text.split("\n"))) > LONGEST_LINE:
        return f"a line of more than {LONGEST_LINE} characters"
    sections = text.split("\nm=")
    if len(sections) - 1 > bounds.media:
        return f"more than {bounds.media} m-lines"
    return next(filter(None, map(_excess_of_section, sections)), None)


def _octets(text: str) -> int:
    # A lone surrogate has no UTF-8, and is no reason to fail here.
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _excess_of_section(section: str) -> str | None:
    # The m-line itself is in front; of the session's section it is v=0.
    if section.partition("\n")[0].count(" ") > MOST_FORMATS + 2:
        return f"an m-line with more than {MOST_FORMATS} formats"
    for name, most in MOST_OF_A_SECTION.items():
        if section.count(f"\na={name}:") > most:
            return f"more than {most} a={name} lines in a section"
    return None
