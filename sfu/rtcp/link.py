"""Which of one viewer's pictures pause because its link does not carry them, and when they are tried again. Pure.

Without an estimate of what a link carries, trying is the only way to know: the picture that costs most pauses first,
the one that paused last is tried first, one at a time, and more rarely each time that it was in vain.
"""

from __future__ import annotations

from collections.abc import Mapping

FIRST_WAIT_US = 4_000_000
LONGEST_WAIT_US = 64_000_000
RARER = 4
"""So many times longer is the wait after a trial in vain: each costs the sound on the same link some packets."""
TRIAL_US = 5_000_000
"""A picture that holds so long after it came back fits."""
SETTLE_US = 1_000_000
"""After a pause what is still lost had been sent before."""


class Link:
    """One viewer's. Its legs are named by the caller's numbers."""

    def __init__(self) -> None:
        self._paused: list[int] = []
        self._wait_us = FIRST_WAIT_US
        self._due_us = 0
        self._settled_us = 0
        self._trial: int | None = None
        self._trial_ends_us = 0

    @property
    def paused(self) -> bool:
        """Whether any leg is."""
        return bool(self._paused)

    def settled(self, now_us: int) -> bool:
        """Whether what is lost now may be too much: `strain` has nothing to say before."""
        return now_us >= self._settled_us

    def strain(self, costs: Mapping[int, int], now_us: int) -> int | None:
        """Too much is lost. Which of the legs that are sending is to pause, by what each costs; None: wait."""
        self._end_trial(now_us)
        if not costs or not self.settled(now_us):
            return None
        if self._trial is not None and self._trial in costs:
            leg = self._trial
            self._wait_us = min(RARER * self._wait_us, LONGEST_WAIT_US)
        else:
            leg = max(costs, key=lambda number: (costs[number], number))
        self._trial = None
        self._paused.append(leg)
        self._settled_us = now_us + SETTLE_US
        self._due_us = now_us + self._wait_us
        return leg

    def due(self, now_us: int) -> int | None:
        """The leg that is to be tried again now."""
        self._end_trial(now_us)
        if self._trial is not None or not self._paused or now_us < self._due_us:
            return None
        self._trial = self._paused.pop()
        self._trial_ends_us = now_us + TRIAL_US
        self._settled_us = now_us
        return self._trial

    def forget(self, leg: int) -> None:
        """It is gone."""
        if leg in self._paused:
            self._paused.remove(leg)
        if self._trial == leg:
            self._trial = None

    def _end_trial(self, now_us: int) -> None:
        if self._trial is None or now_us < self._trial_ends_us:
            return
        self._trial = None
        self._wait_us = max(FIRST_WAIT_US, self._wait_us // RARER)
        self._due_us = now_us
