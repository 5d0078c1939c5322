"""Which m-line an SSRC that nobody announced belongs to, and when it takes a stream over. Pure: times come in.

RFC 9143 section 9.2 has packets belong to an m-line by their MID, then by SSRC, then by a payload type that no other
m-line has. An SSRC that is a track's never gets here, whatever MID its packets claim.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Literal

from sfu.path.interface import UnknownStream

SILENT_US = 200_000
"""The former SSRC must have ended: two that go on side by side are layers of one picture, of which one is enough."""
APART_US = 1_000_000
"""A stream is taken over at most so often: viewers begin anew each time."""

Part = Literal["media", "rtx"]


def part_of(
    stream: UnknownStream, mid: str, media: Container[int], retransmissions: Container[int]
) -> Part | None:
    """What it is of the one m-line that we take on its connection, given that one's MID and payload types."""
    if stream.mid and stream.mid != mid:
        return None
    if stream.payload_type in media:
        return "media"
    return "rtx" if stream.payload_type in retransmissions else None


class Succession:
    """Of one track."""

    def __init__(self) -> None:
        self._heir: int | None = None
        self._packets = 0
        self._since_us: int | None = None
        self._next_us: int | None = None

    def propose(self, ssrc: int) -> None:
        """Packets under another SSRC have come."""
        if self._heir is None:
            self._heir, self._since_us = ssrc, None

    def decide(self, packets: int, now_us: int) -> int | None:
        """The SSRC that takes over now, if any. `packets` is how many have come under the present one."""
        if self._heir is None:
            return None
        if self._since_us is None:
            self._since_us, self._packets = now_us, packets
        if packets != self._packets:
            self._heir = None
            return None
        if now_us - self._since_us < SILENT_US:
            return None
        if self._next_us is not None and now_us < self._next_us:
            return None
        heir, self._heir = self._heir, None
        self._next_us = now_us + APART_US
        return heir

    @property
    def open(self) -> bool:
        """Whether `decide` may have something to say."""
        return self._heir is not None
