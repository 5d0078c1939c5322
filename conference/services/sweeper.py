"""What no request does: silent clients leave, idle channels close, expired meetings go, unused ones stop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import asyncpg
import structlog

from conference.services.meetings import MeetingService
from conference.services.periodic import alone
from conference.storage import glances

_log = structlog.get_logger(__name__)


class Channels(Protocol):
    async def silent(self, for_seconds: float) -> list[UUID]: ...

    async def close(self, queue_id: UUID) -> None: ...


class Sweeper:
    """Every API process sweeps; each step looks again under the meeting's lock, so that twice does no harm."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        service: MeetingService,
        channels: Channels,
        *,
        owned: Callable[[Collection[UUID]], Awaitable[Collection[UUID]]],
        grace: float,
        idle: float,
        unused: float,
        clock: Callable[[], datetime],
    ) -> None:
        """`grace`: seconds of silence after which a client is out; `idle`: after which its channel closes, unless
        it is one of those that `owned` picks out, which families close by rules of their own; `unused`: after
        which a running meeting stops that nobody came into."""
        self._pool = pool
        self._service = service
        self._channels = channels
        self._owned = owned
        self._grace = grace
        self._idle = idle
        self._unused = timedelta(seconds=unused)
        self._clock = clock

    async def sweep(self) -> None:
        """One round. Database and Redis errors pass through."""
        await self._remove_expired()
        await self._stop_unused()
        await self._drop_orphans()
        await self._drop(await self._channels.silent(self._grace))
        idle = await self._channels.silent(self._idle)
        owned = await self._owned(idle)
        for queue_id in idle:
            if queue_id not in owned:
                await alone(queue_id, self._channels.close(queue_id))

    async def _remove_expired(self) -> None:
        async with self._pool.acquire() as conn:
            expired = await glances.expired(conn, self._clock())
        for meeting_id in expired:
            await alone(meeting_id, self._service.expire(meeting_id))
            _log.info("meeting_expired", meeting=str(meeting_id))

    async def _stop_unused(self) -> None:
        since = self._clock() - self._unused
        async with self._pool.acquire() as conn:
            unused = await glances.unused(conn, since)
        for meeting_id in unused:
            await alone(meeting_id, self._service.stop_unused(meeting_id, since))
            _log.info("unused_meeting_stopped", meeting=str(meeting_id))

    async def _drop_orphans(self) -> None:
        """Channels that closed without their participants leaving: a process died in between."""
        async with self._pool.acquire() as conn:
            orphans = await glances.orphaned_queues(conn)
        await self._drop(orphans)

    async def _drop(self, queue_ids: list[UUID]) -> None:
        if not queue_ids:
            return
        async with self._pool.acquire() as conn:
            affected = await glances.with_queues(conn, queue_ids)
        of_meeting: dict[UUID, list[UUID]] = defaultdict(list)
        for meeting_id, queue_id in affected:
            of_meeting[meeting_id].append(queue_id)
        for meeting_id, gone in of_meeting.items():
            await alone(meeting_id, self._service.drop_channels(meeting_id, gone))
            for queue_id in gone:
                _log.info("silent_client_left", meeting=str(meeting_id), queue=str(queue_id))
