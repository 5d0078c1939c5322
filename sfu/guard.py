"""One participant, track or meeting that raises costs the others nothing: it is counted, told once and passed over."""

from __future__ import annotations

from collections import Counter
from types import TracebackType

import structlog

log = structlog.get_logger(__name__)


class Guard:
    """`with guard.over("report"):` around one turn of a loop. What is raised there is counted as `report_failed`.

    It is a defect in us whatever set it off, so it is logged with its traceback; the second, fourth, eighth time
    again, so that whoever can set it off can't fill the log.
    """

    def __init__(self, counters: Counter[str] | None = None) -> None:
        self.counters: Counter[str] = Counter() if counters is None else counters

    def over(self, work: str, **where: object) -> Over:
        """`where` is logged: whose turn it was."""
        return Over(self.counters, work, where)


class Over:
    """See `Guard.over`."""

    __slots__ = ("_counters", "_where", "_work")

    def __init__(self, counters: Counter[str], work: str, where: dict[str, object]) -> None:
        self._counters = counters
        self._work = work
        self._where = where

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False  # nothing was raised, or the task is to end
        name = f"{self._work}_failed"
        self._counters[name] += 1
        times = self._counters[name]
        if times & (times - 1) == 0:
            log.error(name, times=times, exc_info=error, **self._where)
        return True
