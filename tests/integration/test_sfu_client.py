"""SfuClient over a real Valkey, with a worker's side spoken by the test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import cast
from uuid import UUID

import msgspec
import pytest
from channel_rig import SOON, stopped
from redis import asyncio as aioredis

from conference.bus.link import RedisLink
from conference.bus.redis import Argument, RedisLane
from conference.bus.redis import Reply as LaneReply
from conference.bus.sfu_client import SfuClient, SfuFailure, WorkerGone, WorkerSilent
from conference.errors import BadRequest, MediaFailed, Unavailable
from conference.machine.embedded import ValkeyServer
from schemas.sfu import (
    Answered,
    Command,
    Done,
    Failed,
    Held,
    HeldMeeting,
    OfferAudio,
    OpenMeeting,
    Reply,
    Report,
    command_channel,
)

MEETING, USER = UUID(int=1), UUID(int=2)
Answer = Callable[[Command], list[Reply]]


class Worker:
    """Answers each command with what `answer` says; keeps the commands."""

    def __init__(self, redis: aioredis.Redis, answer: Answer) -> None:
        self._redis = redis
        self._answer = answer
        self.commands: list[Command] = []
        self.got_one = asyncio.Event()

    async def serve(self, name: str, subscribed: asyncio.Event) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(command_channel(name))
            async for message in pubsub.listen():
                if message["type"] == "subscribe":
                    subscribed.set()
                    continue
                command = msgspec.msgpack.decode(message["data"], type=Command)
                self.commands.append(command)
                self.got_one.set()
                for reply in self._answer(command):
                    await self._redis.publish(command.reply_to, msgspec.msgpack.encode(reply))


class Stage:
    """A client, and workers on demand."""

    def __init__(self, redis_url: str, stack: AsyncExitStack, timeout: float = SOON) -> None:
        self._stack = stack
        self._redis = aioredis.Redis.from_url(redis_url)
        self.link = RedisLink(redis_url)
        self.client = SfuClient(self.link, timeout=timeout)
        self.link.start()
        stack.push_async_callback(self._redis.aclose)
        stack.push_async_callback(self.link.close)

    async def worker(self, answer: Answer, name: str = "w1") -> Worker:
        worker = Worker(self._redis, answer)
        subscribed = asyncio.Event()
        task = asyncio.create_task(worker.serve(name, subscribed))
        self._stack.push_async_callback(stopped, task)
        await asyncio.wait_for(subscribed.wait(), SOON)
        return worker


def silent(_command: Command) -> list[Reply]:
    return []


def done(command: Command) -> list[Reply]:
    return [Reply(id=command.id, result=Done())]


@pytest.fixture
async def stage(redis_url: str) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(redis_url, stack)


async def test_a_command_and_its_reply(stage: Stage) -> None:
    worker = await stage.worker(lambda c: [Reply(id=c.id, result=Answered(sdp="v=0"))])
    body = OfferAudio(user=USER, sdp="offer", enabled=True)
    assert await stage.client.call("w1", MEETING, 3, body) == Answered(sdp="v=0")
    [command] = worker.commands
    assert (command.meeting, command.epoch, command.body) == (MEETING, 3, body)


async def test_replies_find_their_calls_in_any_order(stage: Stage) -> None:
    held: list[Command] = []

    def in_reverse(command: Command) -> list[Reply]:
        held.append(command)
        if len(held) < 3:
            return []
        return [Reply(id=c.id, result=Answered(sdp=str(c.epoch))) for c in reversed(held)]

    await stage.worker(in_reverse)
    calls = [stage.client.call("w1", MEETING, epoch, OpenMeeting()) for epoch in range(3)]
    assert await asyncio.gather(*calls) == [Answered(sdp=str(epoch)) for epoch in range(3)]


async def test_nobody_there_is_told_at_once(stage: Stage) -> None:
    with pytest.raises(WorkerGone):
        await asyncio.wait_for(stage.client.call("nobody", MEETING, 1, OpenMeeting()), 2)


@pytest.mark.parametrize("code", ["stale_epoch", "no_session", "draining", "late", "internal"])
async def test_a_failure_keeps_its_code(stage: Stage, code: str) -> None:
    await stage.worker(
        lambda c: [Reply(id=c.id, result=Failed(code=code, reason="because"))]  # type: ignore[arg-type]
    )
    with pytest.raises(SfuFailure, match="because") as caught:
        await stage.client.call("w1", MEETING, 1, OpenMeeting())
    assert (caught.value.failure, caught.value.code) == (code, f"media_{code}")


async def test_bad_sdp_is_the_requests_fault(stage: Stage) -> None:
    await stage.worker(lambda c: [Reply(id=c.id, result=Failed(code="bad_sdp", reason="no m="))])
    with pytest.raises(BadRequest, match="no m=") as caught:
        await stage.client.call("w1", MEETING, 1, OpenMeeting())
    assert caught.value.code == "bad_sdp"


async def test_no_reply_ends_at_the_deadline(redis_url: str) -> None:
    async with AsyncExitStack() as stack:
        stage = Stage(redis_url, stack, timeout=0.2)
        await stage.worker(silent)
        with pytest.raises(WorkerSilent):
            await asyncio.wait_for(stage.client.call("w1", MEETING, 1, OpenMeeting()), SOON)


async def test_late_doubled_and_malformed_replies_do_no_harm(stage: Stage) -> None:
    worker = await stage.worker(lambda c: [*done(c), *done(c)])
    await stage.client.call("w1", MEETING, 1, OpenMeeting())
    [command] = worker.commands
    await stage.link.lane.call(b"PUBLISH", command.reply_to, b"\xc1nonsense")
    assert await stage.client.call("w1", MEETING, 1, OpenMeeting()) == Done()


async def test_losing_redis_fails_pending_calls_at_once(
    private_valkey: Callable[[], ValkeyServer],
) -> None:
    server = private_valkey()
    async with AsyncExitStack() as stack:
        stage = Stage(server.url, stack)
        worker = await stage.worker(silent)
        call = asyncio.create_task(stage.client.call("w1", MEETING, 1, OpenMeeting()))
        await asyncio.wait_for(worker.got_one.wait(), SOON)
        server.kill()
        with pytest.raises(Unavailable):
            await asyncio.wait_for(call, 3)
        with pytest.raises(Unavailable):
            await asyncio.wait_for(stage.client.call("w1", MEETING, 1, OpenMeeting()), 5)
        server.start()
        await stage.link.subscriber.ready(SOON)
        with pytest.raises(WorkerGone):
            await stage.client.call("nobody", MEETING, 1, OpenMeeting())


async def test_closing_fails_pending_calls(stage: Stage) -> None:
    worker = await stage.worker(silent)
    call = asyncio.create_task(stage.client.call("w1", MEETING, 1, OpenMeeting()))
    await asyncio.wait_for(worker.got_one.wait(), SOON)
    stage.client.close()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(call, 2)


async def test_deadlines_are_by_the_clock_of_redis_which_is_asked_now_and_then(
    private_valkey: Callable[[], ValkeyServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = private_valkey()
    ahead = 3600.0
    asked = 0
    call = RedisLane.call

    async def with_a_clock_ahead(lane: RedisLane, *command: Argument) -> LaneReply:
        nonlocal asked
        reply = await call(lane, *command)
        if command != (b"TIME",):
            return reply
        asked += 1
        seconds, microseconds = cast("tuple[bytes, bytes]", reply)
        return [str(int(seconds) + int(ahead)).encode(), microseconds]

    monkeypatch.setattr(RedisLane, "call", with_a_clock_ahead)
    async with AsyncExitStack() as stack:
        stage = Stage(server.url, stack, timeout=2.0)
        worker = await stage.worker(done)
        for _ in range(3):
            await stage.client.call("w1", MEETING, 1, OpenMeeting())
        assert asked == 1
        late_by = [command.deadline - time.time() - ahead for command in worker.commands]
        assert all(0 < left <= 2.1 for left in late_by), late_by
        server.kill()
        server.start()
        await asyncio.sleep(0)
        async with asyncio.timeout(SOON):
            while asked == 1:
                try:
                    await stage.client.call("w1", MEETING, 1, OpenMeeting())
                except (Unavailable, WorkerGone):
                    await asyncio.sleep(0.05)
        assert asked == 2, "another server may have another clock"


async def test_a_report_is_read_to_its_end(stage: Stage) -> None:
    def page(command: Command) -> list[Reply]:
        assert isinstance(command.body, Report)
        after = command.body.after
        held = Held(
            meetings=[HeldMeeting(meeting=UUID(int=after + 1), epoch=1, users=[])],
            next=after + 1 if after < 2 else None,
        )
        return [Reply(id=command.id, result=held)]

    await stage.worker(page)
    pages = await stage.client.held("w1")
    assert [page.meetings[0].meeting.int for page in pages] == [1, 2, 3]


async def test_a_worker_that_cannot_tell_what_it_holds(stage: Stage) -> None:
    await stage.worker(done)
    with pytest.raises(MediaFailed):
        await stage.client.held("w1")
