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


OFFER = Bounds(octets=64 * 1024, lines=1536, media=48, parameters=1536)
"""A browser's camera takes 8 KiB and 150 lines, a microphone with 16 m-lines for others 20 KiB and 600 lines."""
ANSWER = Bounds(octets=384 * 1024, lines=12_288, media=100, parameters=12_288)
"""To our own offers, which have an m-line for each video: a browser writes 3 KiB and 90 lines for one, and the same
for all, so that reading it costs no more than an offer.
"""

LONGEST_LINE = 4096
LONGEST_SECTION = 512
"""Lines of an m-line with all that belongs to it, or of the session: so many SSRCs, candidates, parameters at most."""
MOST_FORMATS = 100
"""Of an m-line; there are 96 payload types to give."""


def excess(text: str, bounds: Bounds) -> str | None:
    """What is too much of it, in words; None when it may be read."""
    if len(text) > bounds.octets or _octets(text) > bounds.octets:
        return f"longer than {bounds.octets // 1024} KiB"
    if text.count("\n") > bounds.lines:
        return f"more than {bounds.lines} lines"
    if text.count(";") > bounds.parameters:
        return f"more than {bounds.parameters} format parameters"
    sections = text.split("\nm=")
    if len(sections) - 1 > bounds.media:
        return f"more than {bounds.media} m-lines"
    return next(filter(None, map(_excess_of_section, sections)), None)


def _octets(text: str) -> int:
    # A lone surrogate has no UTF-8, and is no reason to fail here.
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _excess_of_section(section: str) -> str | None:
    if len(section) > LONGEST_LINE and max(map(len, section.split("\n"))) > LONGEST_LINE:
        return f"a line of more than {LONGEST_LINE} characters"
    if section.count("\n") > LONGEST_SECTION:
        return f"more than {LONGEST_SECTION} lines of one m-line"
    # The m-line itself is in front; of the session's section it is v=0.
    if section.partition("\n")[0].count(" ") > MOST_FORMATS + 2:
        return f"an m-line with more than {MOST_FORMATS} formats"
    return None
