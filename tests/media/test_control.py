"""The control contract: repeated, late, stale and wrong commands, the registry, and draining."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from uuid import uuid4

import msgspec
import pytest
from media_rig import (
    Camera,
    Controller,
    Participant,
    controlling,
    patient,
    running_worker,
    until,
)
from redis import asyncio as aioredis

from schemas import sfu as wire
from sfu.path.python.path import PythonPath
from sfu.worker.worker import Worker, now_us

Join = Callable[[], Participant]


async def record(redis_url: str, worker: str) -> wire.WorkerRecord | None:
    async with aioredis.Redis.from_url(redis_url) as redis:
        value = await redis.get(wire.worker_key(worker))
    return msgspec.msgpack.decode(value, type=wire.WorkerRecord) if value else None


async def test_a_worker_registers_and_says_how_it_is(
    redis_url: str, worker: Worker, controller: Controller, join: Join
) -> None:
    found = await record(redis_url, worker.id)
    assert found is not None
    assert (found.meetings, found.peers, found.draining) == (0, 0, False)
    assert found.native != isinstance(worker.path, PythonPath)
    assert found.media == [f"127.0.0.1:{worker.candidates[0][1]}"]

    await join().join_audio()
    limit = time.monotonic() + patient(4)
    while (found := await record(redis_url, worker.id)) and found.peers == 0:
        assert time.monotonic() < limit
        await asyncio.sleep(0.05)
    assert found
    assert (found.meetings, found.peers) == (1, 1)
    assert 0 < found.load <= 1


async def test_a_worker_that_ends_takes_its_registration_back(redis_url: str) -> None:
    async with running_worker(redis_url) as worker:
        assert await record(redis_url, worker.id)
    assert await record(redis_url, worker.id) is None


async def test_a_repeated_command_gets_the_same_reply_and_runs_once(
    worker: Worker, controller: Controller, join: Join
) -> None:
    alice = join()
    await alice.publish()
    await controller.notice(wire.VideoLive, user=alice.user)
    body = wire.Subscribe(user=uuid4(), subscribe=[alice.feed()], unsubscribe=[])
    command_id = uuid4().hex
    first = await controller.call(body, command_id=command_id)
    again = await controller.call(body, command_id=command_id)
    assert first == again == wire.Done()
    assert worker.counters()["commands_repeated"] == 1
    await asyncio.sleep(0.05)
    assert len(controller.seen(wire.Offered)) == 1


async def test_a_repeated_offer_gets_the_same_answer(
    worker: Worker, controller: Controller, join: Join
) -> None:
    alice, bob = join(), join()
    await alice.publish()
    await controller.notice(wire.VideoLive, user=alice.user)
    offer = alice.outgoing["video"].local_description
    assert offer
    body = wire.OfferVideo(user=bob.user, kind="video", sdp=offer.sdp)
    command_id = uuid4().hex
    assert await controller.call(body, command_id=command_id) == await controller.call(
        body, command_id=command_id
    )
    assert worker.leftovers()["peers"] == 2


async def test_late_and_malformed_commands_do_not_start(
    redis_url: str, worker: Worker, controller: Controller
) -> None:
    result = await controller.call(wire.OpenMeeting(), deadline=time.time() - 1)
    assert isinstance(result, wire.Failed)
    assert result.code == "late"
    async with aioredis.Redis.from_url(redis_url) as redis:
        await redis.publish(wire.command_channel(worker.id), b"\xc1 no message")
    await until(lambda: worker.counters().get("commands_malformed", 0) == 1)
    assert len(worker.meetings) == 0
    assert await controller.call(wire.OpenMeeting()) == wire.Done()


async def test_epochs(worker: Worker, controller: Controller, join: Join) -> None:
    alice = join()
    controller.epoch = 5
    await alice.publish()
    await controller.notice(wire.VideoLive, user=alice.user)

    stale = await controller.call(wire.StopVideo(user=alice.user, kind="video"), epoch=4)
    assert isinstance(stale, wire.Failed)
    assert stale.code == "stale_epoch"
    stale = await controller.call(wire.CloseMeeting(), epoch=4)
    assert isinstance(stale, wire.Failed)
    assert worker.leftovers()["tracks"] == 1

    assert await controller.call(wire.OpenMeeting(), epoch=6) == wire.Done()
    await until(lambda: not any(worker.leftovers().values()), what="the former epoch is gone")
    assert not controller.seen(wire.ConnectionLost)

    assert await controller.call(wire.CloseMeeting(), epoch=6) == wire.Done()
    reopened = await controller.call(wire.OpenMeeting(), epoch=6)
    assert isinstance(reopened, wire.Failed)
    assert reopened.code == "stale_epoch"
    assert await controller.call(wire.CloseMeeting(), epoch=6) == wire.Done()
    assert await controller.call(wire.OpenMeeting(), epoch=7) == wire.Done()


async def test_commands_for_what_is_not_there(controller: Controller) -> None:
    nobody = uuid4()
    for body in (
        wire.SetAudio(user=nobody, enabled=True),
        wire.AnswerInbound(user=nobody, sdp="v=0"),
    ):
        result = await controller.call(body)
        assert isinstance(result, wire.Failed)
        assert result.code == "no_session"
    assert await controller.call(wire.RemovePeer(user=nobody)) == wire.Done()
    assert await controller.call(wire.StopVideo(user=nobody, kind="screen")) == wire.Done()
    assert await controller.call(wire.CloseMeeting()) == wire.Done()


async def test_the_clock_goes_on_closing_what_has_ended(
    worker: Worker, controller: Controller, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfu.worker.meetings.CLOSE_AT_ONCE_US", 0)
    await join().join_audio()
    assert await controller.call(wire.CloseMeeting()) == wire.Done()
    await until(lambda: not any(worker.leftovers().values()))


async def test_a_worker_that_was_stopped_itself_takes_nobody_for_silent(
    worker: Worker, join: Join
) -> None:
    await join().join_audio()
    await until(lambda: worker.leftovers()["transports"] == 1)
    worker._expire(now_us() + 60_000_000)
    assert worker.leftovers()["transports"] == 1
    worker._expire(now_us() + 61_000_000)
    assert worker.leftovers()["transports"] == 0, "who says nothing for the next second is silent"


async def test_a_draining_worker_ends_when_its_meetings_have(redis_url: str) -> None:
    async with (
        running_worker(redis_url) as worker,
        controlling(redis_url, worker) as controller,
        controlling(redis_url, worker) as another,
    ):
        alice, bob = Participant(controller), Participant(controller)
        try:
            await alice.publish(camera=Camera(10, 160, 90))
            await bob.subscribe(alice.feed())
            await bob.sees(alice.feed())
            worker.drain()
            refused = await another.call(wire.OpenMeeting())
            assert isinstance(refused, wire.Failed)
            assert refused.code == "draining"
            await asyncio.sleep(0.1)
            found = await record(redis_url, worker.id)
            assert found
            assert found.draining
            await bob.sees(alice.feed())
            await alice.publish("screen", Camera(10, 160, 90))
            await controller.notice(wire.VideoLive, kind="screen")

            await alice.leave()
            await bob.leave()
            await until(lambda: not any(worker.leftovers().values()))
        finally:
            await alice.close()
            await bob.close()
    assert await record(redis_url, worker.id) is None


async def test_a_command_channel_that_went_silent_is_given_up(private_valkey) -> None:  # type: ignore[no-untyped-def]
    """As when the other end is cut off from the network: no connection is closed, nothing comes."""
    server = private_valkey()
    async with running_worker(server.url) as worker:
        assert worker.control._registered.is_set()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            await until(lambda: not worker.control._registered.is_set(), within=8)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        async with asyncio.timeout(patient(8)):
            await worker.registered()
        async with controlling(server.url, worker) as controller:
            assert await controller.call(wire.OpenMeeting()) == wire.Done()


async def test_redis_coming_back_finds_the_worker_again(private_valkey) -> None:  # type: ignore[no-untyped-def]
    server = private_valkey()
    async with (
        running_worker(server.url) as worker,
        controlling(server.url, worker) as controller,
    ):
        assert await controller.call(wire.OpenMeeting()) == wire.Done()
    async with running_worker(server.url) as worker:
        server.stop()
        await until(lambda: not worker.control._registered.is_set())
        server.start()
        async with asyncio.timeout(8):
            await worker.registered()
        assert await record(server.url, worker.id)
        async with controlling(server.url, worker) as controller:
            assert await controller.call(wire.OpenMeeting()) == wire.Done()
