"""A user's requests under way, counted over processes that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import pytest
from channel_rig import SOON, until

from conference.bus import keys
from conference.bus.link import RedisLink
from conference.bus.outstanding import Outstanding
from conference.errors import TooManyRequests
from conference.machine.embedded import ValkeyServer


@pytest.fixture
async def links(redis_url: str) -> AsyncIterator[list[RedisLink]]:
    """Of two processes."""
    links = [RedisLink(redis_url) for _ in range(2)]
    for link in links:
        link.start()
    yield links
    for link in links:
        await link.close()


async def is_refused(outstanding: Outstanding, user_id: UUID, many: int) -> bool:
    try:
        async with outstanding.counted(user_id, many):
            return False
    except TooManyRequests:
        return True


async def test_processes_count_together(links: list[RedisLink]) -> None:
    one, other = (Outstanding(link, 100) for link in links)
    user_id = uuid4()
    async with one.counted(user_id, 60):
        assert await is_refused(other, user_id, 41)
        assert await is_refused(one, user_id, 41)
        assert not await is_refused(other, uuid4(), 100), "each user has a count of their own"
        async with other.counted(user_id, 40):
            assert await is_refused(one, user_id, 1)
        assert not await is_refused(one, user_id, 40)
    assert not await is_refused(other, user_id, 100)
    assert await is_refused(other, user_id, 101)


async def test_what_fails_is_under_way_no_more(links: list[RedisLink]) -> None:
    one, other = (Outstanding(link, 100) for link in links)
    user_id = uuid4()
    with pytest.raises(ZeroDivisionError):
        async with one.counted(user_id, 100):
            raise ZeroDivisionError
    assert not await is_refused(other, user_id, 100)


async def test_what_lasts_counts_as_long(links: list[RedisLink]) -> None:
    one, other = (Outstanding(link, 100, lasts=0.2) for link in links)
    user_id = uuid4()
    async with one.counted(user_id, 100):
        first = await ends_at(links[0], user_id)
        async with asyncio.timeout(SOON):
            while await ends_at(links[0], user_id) < first + 400:
                assert await is_refused(other, user_id, 1)
    assert await links[0].lane.call(b"EXISTS", f"{keys.OUTSTANDING}{user_id}") == 0


async def ends_at(link: RedisLink, user_id: UUID) -> int:
    """When the one batch counts no more, in Redis's milliseconds."""
    (kept,) = await link.lane.call(b"HVALS", f"{keys.OUTSTANDING}{user_id}")  # type: ignore[misc]
    assert isinstance(kept, bytes)
    return int(kept.split()[1])


async def test_a_dead_process_holds_nobody_up_for_long(
    redis_url: str, links: list[RedisLink]
) -> None:
    """Its connection is gone before it could say that it is done."""
    dying = RedisLink(redis_url)
    dying.start()
    user_id = uuid4()
    other = Outstanding(links[0], 100)
    async with Outstanding(dying, 100, lasts=0.3).counted(user_id, 100):
        assert await is_refused(other, user_id, 1)
        await dying.close()

    async def is_free() -> bool:
        return not await is_refused(other, user_id, 100)

    await until(is_free)


async def test_without_redis_nobody_is_refused(
    private_valkey: Callable[[], ValkeyServer],
) -> None:
    server = private_valkey()
    link = RedisLink(server.url)
    link.start()
    server.stop()
    try:
        assert not await is_refused(Outstanding(link, 100), uuid4(), 100)
    finally:
        await link.close()
