"""What happens by the clock: repair and feedback often, reports and expiry once a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from sfu.guard import Guard

STEP = 0.02
IDLE_STEP = 0.1
IDLE_AFTER_US = 1_000_000
"""So long after the last `hurry` steps are short: what it set off may itself set off more."""

Work = Callable[[int], None]


class Ticker:
    """Calls each piece of work with the time (µs), as often as it asked for. Late under load, never twice.

    Only while there is a hurry are steps short. A worker in which nobody says anything looks ten times a second
    and not fifty.
    """

    def __init__(self, now_us: Callable[[], int], guard: Guard) -> None:
        self._guard = guard
        self._now_us = now_us
        self._works: list[_Scheduled] = []
        self._hurried_us = 0
        self._hurry = asyncio.Event()

    def hurry(self) -> None:
        """Something has begun: the next step is a short one, and so are those of the next second."""
        self._hurried_us = self._now_us()
        self._hurry.set()

    def every(self, seconds: float, work: Work) -> None:
        self._works.append(_Scheduled(int(seconds * 1_000_000), work))

    async def run(self) -> None:
        while True:
            await self._pause()
            now = self._now_us()
            for scheduled in self._works:
                if now >= scheduled.due_us:
                    scheduled.due_us = now + scheduled.interval_us
                    # A defect in one duty must not stop the others, nor the worker.
                    with self._guard.over("tick"):
                        scheduled.work(now)

    async def _pause(self) -> None:
        if self._now_us() - self._hurried_us >= IDLE_AFTER_US:
            self._hurry.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_STEP):
                    await self._hurry.wait()
            if not self._hurry.is_set():
                return
        await asyncio.sleep(STEP)


class _Scheduled:
    def __init__(self, interval_us: int, work: Work) -> None:
        self.interval_us = interval_us
        self.work = work
        self.due_us = 0
