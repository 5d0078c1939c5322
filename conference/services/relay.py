"""From the outbox to the channels: at once after a commit, or later if the process died in between."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import structlog

from conference.bus.channels import ChannelBus
from conference.bus.redis import CommandRefused
from conference.downtime import SERVER_DOWN
from conference.storage import outbox

_AT_ONCE = 100
_LEFT_BEHIND = 1.0  # seconds; younger rows are still being published by whoever wrote them
_STREAMS_AT_ONCE = 100
_SWEEP_INTERVAL = 1.0
_REMEMBER = (
    86_400  # seconds; for ids whose rows a dead process left, which may be published much later
)

_log = structlog.get_logger(__name__)


class OutboxRelay:
    """Publishes a stream's rows in order, whichever processes do it at the same time.

    Rows are deleted, published, and only then is that committed. A crash before leaves rows that are published
    again; the append knows their event ids and does nothing.
    """

    def __init__(self, pool: asyncpg.Pool, bus: ChannelBus) -> None:
        self._pool = pool
        self._bus = bus

    async def flush(self, stream_id: UUID) -> None:
        """Publish what a stream has. Call it right after the commit. Trouble is logged and left to the sweep."""
        try:
            await self._publish_all(stream_id)
        except (*SERVER_DOWN, asyncpg.PostgresError) as error:
            _log.warning("outbox_flush_failed", stream_id=str(stream_id), error=str(error))
        except CommandRefused:
            _log.exception("outbox_flush_refused", stream_id=str(stream_id))

    async def sweep(self) -> int:
        """Publish what was left behind; how many events. Raises what flush would log."""
        count = 0
        for stream_id in await outbox.streams_left(self._pool, _LEFT_BEHIND, _STREAMS_AT_ONCE):
            count += await self._publish_all(stream_id)
        return count

    async def run(self) -> None:
        """Sweep every second, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL)
            try:
                if count := await self.sweep():
                    _log.info("outbox_swept", events=count)
            except (*SERVER_DOWN, asyncpg.PostgresError) as error:
                _log.warning("outbox_sweep_failed", error=str(error))
            except CommandRefused:
                _log.exception("outbox_sweep_refused")

    async def _publish_all(self, stream_id: UUID) -> int:
        count = 0
        while published := await self._publish_some(stream_id):
            count += published
            if published < _AT_ONCE:
                break
        return count

    async def _publish_some(self, stream_id: UUID) -> int:
        async with self._pool.acquire() as conn, conn.transaction():
            rows = await outbox.take(conn, stream_id, _AT_ONCE)
            for row in rows:
                await self._bus.publish(
                    row.event_id,
                    row.queue_ids,
                    row.payload,
                    urgency=row.urgency,
                    remember=_REMEMBER,
                )
        await self._bus.forget([row.event_id for row in rows])
        return len(rows)
