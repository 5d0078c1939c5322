"""What an API process has of channels, opened on real servers, for the tests of channels."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

import asyncpg
import msgspec

from conference.bus import scripts
from conference.bus.channels import Batch, ChannelBus
from conference.bus.link import RedisLink
from conference.bus.poll_terms import plain
from conference.domain.facts import Audience, Outgoing
from conference.services.channels import ChannelService
from conference.services.relay import OutboxRelay
from conference.storage import channels, outbox
from schemas.events import ParticipantJoined

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SOON = 10.0
MEETING = UUID(int=1)


async def until(condition: Callable[[], Awaitable[object]], within: float = SOON) -> None:
    """Poll a condition of another process until it holds. Raises TimeoutError."""
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.01)  # nobody here can be told


async def until_parked(bus: ChannelBus, count: int = 1) -> None:
    """Until so many readers of this process are parked in Redis, as touching them tells."""

    async def parked() -> bool:
        readers = list(bus.readers._readers.values())
        arguments = [part for reader in readers for part in (reader.queue, reader.name)]
        return len(readers) == count and not await bus._run(scripts.TOUCH, *arguments)

    await until(parked)


async def stopped(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Rig:
    def __init__(self, pool: asyncpg.Pool, redis_url: str, *, touch_interval: float = 60.0) -> None:
        self.pool = pool
        self.link = RedisLink(redis_url)
        self.bus = ChannelBus(
            self.link,
            cap=100,
            channels_of=partial(channels.of_users, pool),
            touch_interval=touch_interval,
        )
        self.relay = OutboxRelay(pool, self.bus)
        self.service = ChannelService(pool, self.bus)

    async def __aenter__(self) -> Rig:
        self.link.start()
        self.bus.start()
        await self.link.subscriber.ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bus.close()
        await self.link.close()

    async def change(self, *outgoing: Outgoing, stream: UUID = MEETING) -> None:
        """A committed change that tells of itself; not published."""
        async with self.pool.acquire() as conn, conn.transaction():
            await outbox.add(conn, stream, outgoing, uuid4)

    async def age_outbox(self) -> None:
        await self.pool.execute("update outbox set created_at = created_at - interval '1 minute'")

    async def outbox_size(self) -> int:
        size: int = await self.pool.fetchval("select count(*) from outbox")
        return size

    async def read(self, queue: UUID, ack: int = 1) -> list[int]:
        """The numbers of the events of one batch."""
        batch = await self.bus.poll(queue, ack, plain(0.01))
        assert isinstance(batch, Batch)
        return [number(event) for event in batch.events]


def joined(n: int, *, users: tuple[UUID, ...] = (), queues: tuple[UUID, ...] = ()) -> Outgoing:
    """An event that carries a number."""
    event = ParticipantJoined(sent_date=NOW, meeting_id=MEETING, user_id=UUID(int=n))
    audience = Audience(users=frozenset(users), queues=frozenset(queues))
    return Outgoing(event=event, audience=audience)


def payload(n: int) -> bytes:
    return msgspec.json.encode(joined(n).event)


def number(payload: bytes) -> int:
    return msgspec.json.decode(payload, type=ParticipantJoined).user_id.int
