"""The outbox and its relay, on a real PostgreSQL and a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import asyncpg
import pytest
from channel_rig import MEETING, SOON, Rig, joined, stopped, until

from conference.machine.embedded import ValkeyServer
from conference.storage import outbox

_SOMEBODY_WAITS = """
select exists (select from pg_locks where locktype = 'advisory' and not granted)
"""


@pytest.fixture
async def rig(pool: asyncpg.Pool, redis_url: str) -> AsyncIterator[Rig]:
    async with Rig(pool, redis_url) as rig:
        yield rig


async def test_an_event_reaches_all_channels_of_users_and_the_named_ones(rig: Rig) -> None:
    alice, bob = uuid4(), uuid4()
    phone, laptop = await rig.service.open(alice), await rig.service.open(alice)
    bobs, others = await rig.service.open(bob), await rig.service.open(uuid4())
    await rig.change(joined(1, users=(alice,), queues=(bobs, phone)))
    await rig.relay.flush(MEETING)
    assert [await rig.read(queue) for queue in (phone, laptop, bobs, others)] == [[1], [1], [1], []]
    assert await rig.outbox_size() == 0


async def test_an_event_for_nobody_is_not_written(rig: Rig) -> None:
    await rig.change(joined(1, users=(uuid4(),)))
    assert await rig.outbox_size() == 0


async def test_a_rolled_back_change_tells_nothing(rig: Rig) -> None:
    queue = await rig.service.open(uuid4())
    async with rig.pool.acquire() as conn:
        change = conn.transaction()
        await change.start()
        await outbox.add(conn, MEETING, [joined(1, queues=(queue,))], uuid4)
        await change.rollback()
    await rig.relay.flush(MEETING)
    assert await rig.read(queue) == []


async def test_rows_left_behind_are_swept_and_young_ones_are_left_to_their_writer(rig: Rig) -> None:
    queue = await rig.service.open(uuid4())
    await rig.change(joined(1, queues=(queue,)))
    assert await rig.relay.sweep() == 0
    await rig.age_outbox()
    assert await rig.relay.sweep() == 1
    assert await rig.read(queue) == [1]


async def test_published_but_not_deleted_is_not_published_twice(rig: Rig) -> None:
    """As after a crash between the append and the commit of the deletion."""
    queue = await rig.service.open(uuid4())
    await rig.change(*[joined(n, queues=(queue,)) for n in range(3)])
    async with rig.pool.acquire() as conn:
        crashing = conn.transaction()
        await crashing.start()
        rows = await outbox.take(conn, MEETING, 2)
        await crashing.rollback()
    for row in rows:
        await rig.bus.publish(row.event_id, row.queue_ids, row.payload, remember=3600)
    await rig.age_outbox()
    assert await rig.relay.sweep() == 3
    assert await rig.read(queue) == [0, 1, 2]


async def test_event_ids_are_forgotten_once_their_rows_are_gone(rig: Rig) -> None:
    queue = await rig.service.open(uuid4())
    await rig.change(joined(1, queues=(queue,)))
    await rig.relay.flush(MEETING)
    assert await rig.link.lane.call(b"KEYS", b"parley:event:*") == []


async def test_order_is_kept_when_processes_flush_at_once(
    rig: Rig, pool: asyncpg.Pool, redis_url: str
) -> None:
    """Changes of one stream are serialised by a lock of their own; their flushes race."""
    queue = await rig.service.open(uuid4())
    turn = asyncio.Lock()
    count = 60
    numbers = iter(range(count))

    async def change_and_flush(flusher: Rig) -> None:
        async with turn:
            await flusher.change(joined(next(numbers), queues=(queue,)))
        await flusher.relay.flush(MEETING)

    async with Rig(pool, redis_url) as other:
        await asyncio.gather(*[change_and_flush((rig, other)[n % 2]) for n in range(count)])
    assert await rig.read(queue) == list(range(count))


async def test_a_long_backlog_is_published_whole(rig: Rig) -> None:
    queue = await rig.service.open(uuid4())
    await rig.change(*[joined(n, queues=(queue,)) for n in range(100)])
    await rig.relay.flush(MEETING)
    assert await rig.outbox_size() == 0


async def test_a_new_channel_waits_for_changes_that_will_not_tell_it(rig: Rig) -> None:
    """Else its client could read the state of before the change, and never hear of the change."""
    alice = uuid4()
    async with rig.pool.acquire() as conn:
        async with conn.transaction():
            await outbox.add(conn, MEETING, [joined(1, users=(alice,))], uuid4)
            opening = asyncio.create_task(rig.service.open(alice))
            await until(lambda: rig.pool.fetchval(_SOMEBODY_WAITS))
            assert not opening.done()
        await asyncio.wait_for(opening, SOON)


async def test_redis_down_leaves_the_rows_for_later(
    pool: asyncpg.Pool, private_valkey: Callable[[], ValkeyServer]
) -> None:
    server = private_valkey()
    async with Rig(pool, server.url) as rig:
        queue = await rig.service.open(uuid4())
        server.kill()
        await rig.change(joined(1, queues=(queue,)))
        await asyncio.wait_for(rig.relay.flush(MEETING), SOON)
        assert await rig.outbox_size() == 1
        server.start()
        await rig.age_outbox()
        sweeping = asyncio.create_task(rig.relay.run())
        await until(lambda: pool.fetchval("select count(*) = 0 from outbox"))
        await stopped(sweeping)
        assert await rig.read(queue) == [1]
