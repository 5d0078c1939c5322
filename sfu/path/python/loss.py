"""Which packets of a track have not arrived."""

from __future__ import annotations

MAX_MISSING = 512
"""More holes than this at once are an outage, which asking again can't mend."""

AGE_US = 1_000_000


class Missing:
    """The holes below the newest packet, oldest first, bounded by number and by age."""

    def __init__(self) -> None:
        self._since: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._since)

    def gap(self, first: int, last: int, now_us: int) -> None:
        """The numbers `first` to `last` were skipped."""
        if last - first >= MAX_MISSING:
            self._since.clear()
            return
        for sequence in range(first, last + 1):
            self._since[sequence] = now_us
        while len(self._since) > MAX_MISSING:
            del self._since[next(iter(self._since))]

    def arrived(self, sequence: int) -> bool:
        """Whether it was missed."""
        return self._since.pop(sequence, None) is not None

    def holes(self, now_us: int) -> list[int]:
        """Low 16 bits, oldest first."""
        while self._since:
            oldest = next(iter(self._since))
            if now_us - self._since[oldest] <= AGE_US:
                break
            del self._since[oldest]
        return [sequence & 0xFFFF for sequence in self._since]
