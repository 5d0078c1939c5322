"""When to ask a publisher again for what has not arrived."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

RETRY_US = 40_000
"""Asked more often than this, or than the round trip takes, the same packet would come twice."""

MAX_TRIES = 10
GIVE_UP_US = 1_000_000


class _Hole(msgspec.Struct):
    since_us: int
    asked_us: int = 0
    tries: int = 0


class NackScheduler:
    """One track's asking. The holes come from the packet path, which also forgets the hopeless ones."""

    def __init__(self, reorder_wait_us: int = 0) -> None:
        """`reorder_wait_us`: how long a packet may be late before it is asked for."""
        self._reorder_wait_us = reorder_wait_us
        self._holes: dict[int, _Hole] = {}
        self.asked = 0

    def due(self, missing: Iterable[int], now_us: int, rtt_us: int = 0) -> list[int]:
        """What to ask for now, of all the numbers that are missing now, in their order."""
        former, self._holes = self._holes, {}
        retry_us = max(RETRY_US, rtt_us)
        due = []
        for sequence in missing:
            hole = self._holes[sequence] = former.get(sequence) or _Hole(now_us)
            if self._is_due(hole, now_us, retry_us):
                hole.asked_us = now_us
                hole.tries += 1
                due.append(sequence)
        self.asked += len(due)
        return due

    def _is_due(self, hole: _Hole, now_us: int, retry_us: int) -> bool:
        age = now_us - hole.since_us
        if hole.tries >= MAX_TRIES or age > GIVE_UP_US:
            return False
        if not hole.tries:
            return age >= self._reorder_wait_us
        return now_us - hole.asked_us >= retry_us
