"""NoticeReader on a real Valkey: order, one leader, what a killed leader leaves, handlers that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import UUID

import msgspec
import pytest
from channel_rig import stopped, until
from redis import asyncio as aioredis

from conference.bus import keys
from conference.bus.link import RedisLink
from conference.bus.notices import NoticeReader
from conference.errors import Unavailable
from schemas.sfu import NOTICE_FIELD, NOTICE_STREAM, Notice, Talking

Handle = Callable[[str, Notice], Awaitable[None]]


class Stage:
    """Readers on demand, each an API process of its own as far as Redis can tell; the notices that they handled."""

    def __init__(self, redis_url: str, stack: AsyncExitStack) -> None:
        self._url = redis_url
        self._stack = stack
        self.redis = aioredis.Redis.from_url(redis_url)
        stack.push_async_callback(self.redis.aclose)
        self.handled: list[tuple[int, int]] = []
        self.ids: list[str] = []

    async def keep(self, entry_id: str, notice: Notice) -> None:
        assert isinstance(notice.body, Talking)
        self.ids.append(entry_id)
        self.handled.append((notice.meeting.int, notice.body.user.int))

    async def reader(self, handle: Handle | None = None) -> asyncio.Task[None]:
        link = RedisLink(self._url)
        link.start()
        self._stack.push_async_callback(link.close)
        reader = NoticeReader(
            link, handle or self.keep, retry_delays=(0.01, 0.01), outage_delays=(0.01,) * 5
        )
        task = asyncio.create_task(reader.run())
        self._stack.push_async_callback(stopped, task)
        return task

    async def send(self, meeting: int, number: int) -> None:
        body = Talking(user=UUID(int=number), talking=True)
        notice = Notice(worker="w1", meeting=UUID(int=meeting), epoch=1, body=body)
        await self.redis.xadd(NOTICE_STREAM, {NOTICE_FIELD: msgspec.msgpack.encode(notice)})

    async def until_handled(self, count: int) -> None:
        async def so_many() -> bool:
            return len(self.handled) >= count

        await until(so_many)

    async def until_finished(self) -> None:
        async def nothing_left() -> bool:
            return await self.redis.xlen(NOTICE_STREAM) == 0

        await until(nothing_left)


@pytest.fixture
async def stage(redis_url: str) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(redis_url, stack)


async def test_notices_from_before_and_after_the_start_in_order(stage: Stage) -> None:
    for n in range(5):
        await stage.send(1, n)
    await stage.reader()
    await stage.until_handled(5)
    for n in range(5, 200):
        await stage.send(1, n)
    await stage.until_handled(200)
    assert stage.handled == [(1, n) for n in range(200)]
    await stage.until_finished()


async def test_one_of_two_processes_handles(stage: Stage) -> None:
    await asyncio.gather(stage.reader(), stage.reader())
    for n in range(50):
        await stage.send(n % 5, n)
    await stage.until_finished()
    assert sorted(number for _, number in stage.handled) == list(range(50))


async def test_a_slow_meeting_does_not_hold_up_another(stage: Stage) -> None:
    release = asyncio.Event()

    async def handle(entry_id: str, notice: Notice) -> None:
        if notice.meeting.int == 1:
            await release.wait()
        await stage.keep(entry_id, notice)

    for n, meeting in enumerate([1, 2, 1, 2]):
        await stage.send(meeting, n)
    await stage.reader(handle)
    await stage.until_handled(2)
    assert stage.handled == [(2, 1), (2, 3)]
    release.set()
    await stage.until_handled(4)
    assert stage.handled[2:] == [(1, 0), (1, 2)]


async def test_nor_does_one_that_hangs_hold_up_what_comes_later(stage: Stage) -> None:
    hangs = asyncio.Event()

    async def handle(entry_id: str, notice: Notice) -> None:
        if notice.meeting.int == 1:
            hangs.set()
            await asyncio.sleep(600)
        await stage.keep(entry_id, notice)

    await stage.send(1, 0)
    await stage.reader(handle)
    await asyncio.wait_for(hangs.wait(), 10)
    for n in range(1, 250):
        await stage.send(1, n)  # more than one meeting may have under way
        await stage.send(2, n)
    await stage.until_handled(249)
    assert stage.handled == [(2, n) for n in range(1, 250)]


async def test_what_a_leader_did_not_finish_comes_again_with_the_same_id(stage: Stage) -> None:
    begun = asyncio.Event()
    ids: list[str] = []

    async def hang(entry_id: str, _notice: Notice) -> None:
        ids.append(entry_id)
        begun.set()
        await asyncio.sleep(600)

    first = await stage.reader(hang)
    await stage.send(1, 1)
    await asyncio.wait_for(begun.wait(), 10)
    await stopped(first)
    assert await stage.redis.get(keys.NOTICE_LEASE) is None, "nobody has to wait for it to run out"
    await stage.send(1, 2)
    await stage.reader()
    await stage.until_handled(2)
    assert stage.handled == [(1, 1), (1, 2)]
    assert stage.ids[0] == ids[0]


async def test_a_dead_leader_is_followed_when_its_lease_ends(stage: Stage) -> None:
    await stage.redis.set(keys.NOTICE_LEASE, b"deadbeefdeadbeef", px=700)
    await stage.send(1, 1)
    await stage.reader()
    await stage.until_handled(1)
    assert await stage.redis.get(keys.NOTICE_LEASE) != b"deadbeefdeadbeef"


async def test_a_handler_that_fails_is_tried_again_then_passed_over(stage: Stage) -> None:
    tries: dict[int, int] = {}

    async def handle(entry_id: str, notice: Notice) -> None:
        assert isinstance(notice.body, Talking)
        number = notice.body.user.int
        tries[number] = tries.get(number, 0) + 1
        if number == 1 or (number == 2 and tries[number] < 3):
            raise ValueError("a bug")
        await stage.keep(entry_id, notice)

    for n in range(4):
        await stage.send(1, n)
    await stage.reader(handle)
    await stage.until_finished()
    assert stage.handled == [(1, 0), (1, 2), (1, 3)]
    assert tries == {0: 1, 1: 3, 2: 3, 3: 1}


async def test_an_outage_is_waited_out_longer(stage: Stage) -> None:
    tries = 0

    async def handle(entry_id: str, notice: Notice) -> None:
        nonlocal tries
        tries += 1
        if tries < 5:
            raise Unavailable("the database is down")
        await stage.keep(entry_id, notice)

    await stage.send(1, 1)
    await stage.reader(handle)
    await stage.until_handled(1)
    assert tries == 5


async def test_what_cannot_be_marked_as_done_comes_again_in_order(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = NoticeReader._done
    failures = 2

    async def broken(reader: NoticeReader, entry_id: bytes) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise Unavailable("Redis went away")
        await done(reader, entry_id)

    monkeypatch.setattr(NoticeReader, "_done", broken)
    for n in range(3):
        await stage.send(1, n)
    await stage.reader()
    await stage.until_finished()
    assert [number for _, number in stage.handled] == [0, 0, 0, 1, 2]


async def test_a_defect_of_the_reader_does_not_end_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = NoticeReader._read
    failures = 2

    async def broken(reader: NoticeReader, start: bytes) -> list[tuple[bytes, list[bytes] | None]]:
        nonlocal failures
        if failures:
            failures -= 1
            raise KeyError("a defect")
        return await read(reader, start)

    monkeypatch.setattr(NoticeReader, "_read", broken)
    await stage.send(1, 1)
    await stage.reader()
    await stage.until_handled(1)


async def test_a_malformed_notice_is_passed_over(stage: Stage) -> None:
    await stage.redis.xadd(NOTICE_STREAM, {NOTICE_FIELD: b"\xc1"})
    await stage.redis.xadd(NOTICE_STREAM, {b"other": b"x"})
    await stage.send(1, 1)
    await stage.reader()
    await stage.until_finished()
    assert stage.handled == [(1, 1)]


async def test_an_emptied_redis_is_read_on(stage: Stage) -> None:
    await stage.reader()
    await stage.send(1, 1)
    await stage.until_handled(1)
    await stage.redis.flushall()
    await stage.send(1, 2)
    await stage.until_handled(2)
