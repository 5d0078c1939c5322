"""WorkerRegistry on a real Valkey, and the choice of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from channel_rig import until
from redis import asyncio as aioredis

from conference.bus.link import RedisLink
from conference.bus.workers import WorkerRegistry, least_loaded
from schemas.sfu import WORKER_TTL, WorkerRecord, command_channel, worker_key


def record(worker: str, **changes: object) -> WorkerRecord:
    base = WorkerRecord(
        id=worker, pid=1, load=0.0, meetings=0, peers=0, draining=False, native=False, media=[]
    )
    return msgspec.structs.replace(base, **changes)


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(redis_url)
    link.start()
    yield link
    await link.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[aioredis.Redis]:
    async with aioredis.Redis.from_url(redis_url) as client:
        yield client


async def beat(redis: aioredis.Redis, worker: str, ttl: float = WORKER_TTL) -> None:
    value = msgspec.msgpack.encode(record(worker))
    await redis.set(worker_key(worker), value, px=int(ttl * 1000))


async def test_workers_that_were_there_before_are_found_among_many_keys(
    link: RedisLink, redis: aioredis.Redis
) -> None:
    await redis.mset({f"parley:channel:{n}": b"" for n in range(3000)})
    await beat(redis, "w1")
    await beat(redis, "w2")
    assert set(await WorkerRegistry(link).alive()) == {"w1", "w2"}


async def test_one_that_comes_later_is_found_by_its_subscription(
    link: RedisLink, redis: aioredis.Redis
) -> None:
    registry = WorkerRegistry(link)
    assert await registry.alive() == {}
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(command_channel("w1"))
        await pubsub.get_message(timeout=5)
        assert await registry.alive() == {}  # no heartbeat yet
        await beat(redis, "w1")
        assert set(await registry.alive()) == {"w1"}


async def test_one_that_lost_its_subscription_is_still_alive(
    link: RedisLink, redis: aioredis.Redis
) -> None:
    """Else a short loss of the connection would move its meetings."""
    await beat(redis, "w1")
    registry = WorkerRegistry(link)
    await registry.alive()
    await beat(redis, "w1")
    assert set(await registry.alive()) == {"w1"}


async def test_one_without_a_heartbeat_is_gone(link: RedisLink, redis: aioredis.Redis) -> None:
    await beat(redis, "w1", ttl=0.2)
    registry = WorkerRegistry(link)
    assert set(await registry.alive()) == {"w1"}

    async def gone() -> bool:
        return not await registry.alive()

    await until(gone)


async def test_a_malformed_record_is_not_a_worker(link: RedisLink, redis: aioredis.Redis) -> None:
    await redis.set(worker_key("bad"), b"\xc1")
    await beat(redis, "w1")
    assert set(await asyncio.wait_for(WorkerRegistry(link).alive(), 5)) == {"w1"}


@pytest.mark.parametrize(
    ("records", "chosen"),
    [
        ([], None),
        ([record("a", draining=True)], None),
        ([record("a", draining=True), record("b", load=0.9)], "b"),
        ([record("a", load=0.8), record("b", load=0.3)], "b"),
        ([record("a", load=0.31, peers=1), record("b", load=0.29, peers=9)], "a"),
        ([record("a", peers=2, meetings=1), record("b", peers=2, meetings=0)], "b"),
        ([record("b"), record("a")], "a"),
    ],
)
def test_least_loaded(records: list[WorkerRecord], chosen: str | None) -> None:
    found = least_loaded(records)
    assert (found.id if found else None) == chosen
