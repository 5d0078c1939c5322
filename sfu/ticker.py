"""What happens by the clock: repair and feedback often, reports and expiry once a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

STEP = 0.02

log = structlog.get_logger(__name__)

Work = Callable[[int], None]


class Ticker:
    """Calls each piece of work with the time (µs), as often as it asked for. Late under load, never twice."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self.failures = 0
        self._now_us = now_us
        self._works: list[_Scheduled] = []

    def every(self, seconds: float, work: Work) -> None:
        self._works.append(_Scheduled(int(seconds * 1_000_000), work))

    async def run(self) -> None:
        while True:
            await asyncio.sleep(STEP)
            now = self._now_us()
            for scheduled in self._works:
                if now >= scheduled.due_us:
                    scheduled.due_us = now + scheduled.interval_us
                    self._call(scheduled.work, now)

    def _call(self, work: Work, now_us: int) -> None:
        try:
            work(now_us)
        except Exception:
            # A defect in one duty must not stop the others, nor the worker: media does not depend on them.
            self.failures += 1
            if self.failures & (self.failures - 1) == 0:
                log.exception("tick_failed", times=self.failures)


class _Scheduled:
    def __init__(self, interval_us: int, work: Work) -> None:
        self.interval_us = interval_us
        self.work = work
        self.due_us = 0
