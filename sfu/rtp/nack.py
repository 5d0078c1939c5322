"""When to ask a publisher again for what has not arrived, and when to answer a viewer that asks."""

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


MAX_ANSWERS = 256
_REMEMBERED = 2048


class NackAnswers:
    """One leg's answering. Without it, a small NACK sent again and again fetches any amount of media."""

    def __init__(self) -> None:
        self._answered: dict[int, int] = {}
        self.refused = 0

    def admit(self, sequences: Iterable[int], now_us: int, rtt_us: int = 0) -> list[int]:
        """Those to send again: none twice within a round trip, and no more than `MAX_ANSWERS` at once."""
        wait_us = max(rtt_us, RETRY_US // 2)
        admitted: list[int] = []
        for sequence in sequences:
            answered = self._answered.get(sequence)
            recent = answered is not None and now_us - answered < wait_us
            if recent or len(admitted) >= MAX_ANSWERS:
                self.refused += 1
                continue
            self._answered.pop(sequence, None)  # so that the dict stays in order of time
            self._answered[sequence] = now_us
            admitted.append(sequence)
        while len(self._answered) > _REMEMBERED:
            del self._answered[next(iter(self._answered))]
        return admitted
