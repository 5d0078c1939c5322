"""Meetings whose worker is lost get another one, within seconds, in whichever API process sees it first."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import structlog

from conference.downtime import SERVER_DOWN
from conference.errors import MediaFailed, NotFound
from conference.services.placement import Placement, Where, Workers
from conference.storage import glances

INTERVAL = 1.0
"""Seconds between two looks at the workers."""
AT_ONCE = 5
"""Meetings moved at a time: the pool's other connections go on to serve requests."""

_log = structlog.get_logger(__name__)


class Failover:
    """A worker counts as lost when it is missing from the registry twice in a row.

    Once is not enough: a Redis that was just restarted knows only those that have registered anew.
    """

    def __init__(self, pool: asyncpg.Pool, placement: Placement, workers: Workers) -> None:
        self._pool = pool
        self._placement = placement
        self._workers = workers
        self._missing: frozenset[str] = frozenset()
        self._failures = 0

    async def check(self) -> None:
        """One look. Database and Redis errors pass through."""
        alive = await self._workers.alive()
        async with self._pool.acquire() as conn:
            placed = await glances.placements(conn)
        missing = frozenset(worker for _, worker, _ in placed if worker not in alive)
        lost, self._missing = missing & self._missing, missing
        if not alive:
            return
        moves = [
            (meeting, Where(worker, epoch)) for meeting, worker, epoch in placed if worker in lost
        ]
        for start in range(0, len(moves), AT_ONCE):
            await asyncio.gather(*[self._move(*move) for move in moves[start : start + AT_ONCE]])

    async def _move(self, meeting_id: UUID, lost: Where) -> None:
        try:
            await self._placement.relocate(meeting_id, lost)
        except (MediaFailed, NotFound) as error:  # nowhere to go, or it just ended
            _log.info("meeting_not_moved", meeting=str(meeting_id), error=error.message)
        except SERVER_DOWN:
            raise
        except (
            Exception
        ):  # one meeting that can't be moved must not keep the others where nobody is
            self._failures += 1
            if self._failures & (self._failures - 1) == 0:
                _log.exception("meeting_not_moved", meeting=str(meeting_id), times=self._failures)
