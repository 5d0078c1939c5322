"""A media worker is lost: its meetings move, clients are told, and their next offers are answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
import pytest
from redis import asyncio as aioredis
from rig_meetings import WITHIN, Api, Person, Worker, eventually, kinds, running_api, running_worker

from conference.services.failover import AT_ONCE
from conference.services.placement import Placement, Where
from schemas import sfu

SDP = {"sdp": "x"}
CAMERA = {"type": "video", "enabled": True, "sdp": "x"}


@pytest.fixture
async def workers(redis_url: str) -> AsyncIterator[tuple[Worker, Worker]]:
    """The first is preferred."""
    async with (
        running_worker(redis_url, "first") as one,
        running_worker(redis_url, "second") as two,
    ):
        two.load = 0.9
        await two._register()
        yield one, two


@pytest.fixture
async def api(
    workers: object, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Api]:
    async with running_api(database_url, redis_url, tmp_path) as api:
        yield api


async def room(api: Api) -> tuple[str, Person, Person]:
    """Both in, Bob with camera and microphone on."""
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    for person in (alice, bob):
        await person.join(path)
    assert (await bob.put(f"{path}/audio/offer", SDP)).status == 204
    assert (await bob.put(f"{path}/audio", {"enabled": True})).status == 204
    assert (await bob.put(f"{path}/media", CAMERA)).status == 204
    await alice.seen()
    await bob.seen()
    return path, alice, bob


async def placement(pool: asyncpg.Pool) -> tuple[str, int]:
    row = await pool.fetchrow("select worker_id, media_epoch from meetings")
    assert row is not None
    return row["worker_id"], row["media_epoch"]


async def test_a_meeting_is_placed_on_the_least_loaded_worker(
    api: Api, workers: tuple[Worker, Worker], pool: asyncpg.Pool
) -> None:
    await room(api)
    assert await placement(pool) == ("first", 1)
    assert workers[1].commands == []


async def test_a_draining_worker_takes_no_new_meeting(
    api: Api, workers: tuple[Worker, Worker], pool: asyncpg.Pool
) -> None:
    workers[0].draining = True
    await workers[0]._register()
    await room(api)
    assert await placement(pool) == ("second", 1)


async def test_a_lost_worker_is_noticed(
    api: Api, workers: tuple[Worker, Worker], pool: asyncpg.Pool
) -> None:
    path, alice, bob = await room(api)
    await workers[0].die()
    await workers[0].forget()
    reset = await alice.until("MEETING_MEDIA_RESET")
    assert reset["epoch"] == 2
    event = await alice.until("MEETING_MEDIA_STREAM_CHANGED")
    assert (event["userId"], event["active"]) == (bob.id, False)
    assert kinds(await bob.seen()) == ["MEDIA_RESET", "MEDIA_STREAM_CHANGED"]
    assert await placement(pool) == ("second", 2)
    (state,) = [i for i in (await bob.state(path))["participants"] if i["userId"] == bob.id]
    assert (state["videoStreamEnabled"], state["audioStreamEnabled"]) == (False, True)

    # what a client does then: everything anew
    assert (await bob.put(f"{path}/audio/offer", SDP)).status == 204
    assert (await bob.put(f"{path}/media", CAMERA)).status == 204
    (audio,) = workers[1].asked(sfu.OfferAudio)
    assert audio.enabled is True, "the microphone was open and stays so"
    assert {command.epoch for command in workers[1].commands} == {2}
    assert kinds(await bob.seen()) == ["AUDIO_ANSWERED", "SDP_ANSWERED"]


async def test_a_command_that_nobody_receives_moves_the_meeting_at_once(
    api: Api, workers: tuple[Worker, Worker], pool: asyncpg.Pool
) -> None:
    path, alice, bob = await room(api)
    await workers[0].die()  # its record is still there
    assert (await bob.put(f"{path}/audio/offer", SDP)).status == 204
    assert await placement(pool) == ("second", 2)
    assert kinds(await alice.seen()) == ["MEDIA_RESET", "MEDIA_STREAM_CHANGED"]
    told = kinds(await bob.seen())
    assert told == ["MEDIA_RESET", "MEDIA_STREAM_CHANGED", "AUDIO_ANSWERED"]
    assert workers[1].asked(sfu.OfferAudio)[0].enabled is True


async def test_a_camera_whose_worker_died_is_on_after_the_retry(
    api: Api, workers: tuple[Worker, Worker]
) -> None:
    path, _, bob = await room(api)
    await workers[0].die()
    assert (await bob.put(f"{path}/media", CAMERA)).status == 204
    (state,) = [i for i in (await bob.state(path))["participants"] if i["userId"] == bob.id]
    assert state["videoStreamEnabled"] is True
    told = kinds(await bob.seen())
    assert told == ["MEDIA_RESET", "MEDIA_STREAM_CHANGED", "SDP_ANSWERED"]


async def test_with_no_worker_left_media_fails_until_one_comes(
    api: Api, workers: tuple[Worker, Worker], redis_url: str, pool: asyncpg.Pool
) -> None:
    path, _, bob = await room(api)
    for worker in workers:
        await worker.die()
    refused = await bob.put(f"{path}/audio/offer", SDP)
    assert (refused.status, refused.code) in ((424, "worker_gone"), (424, "no_worker"))
    for worker in workers:
        await running_forget(redis_url, worker.name)
    refused = await bob.put(f"{path}/audio/offer", SDP)
    assert (refused.status, refused.code) == (424, "no_worker")
    assert (await api.call("GET", "/readyz")).status == 503
    async with running_worker(redis_url, "third") as third:
        assert await bob.until("MEETING_MEDIA_RESET")
        assert (await bob.put(f"{path}/audio/offer", SDP)).status == 204
        assert len(third.asked(sfu.OfferAudio)) == 1
        assert (await api.call("GET", "/readyz")).status == 200


async def running_forget(redis_url: str, name: str) -> None:
    async with aioredis.from_url(redis_url) as client:
        await client.delete(sfu.worker_key(name))


async def test_a_stale_epoch_is_looked_up_again(
    api: Api, workers: tuple[Worker, Worker], pool: asyncpg.Pool
) -> None:
    """The meeting moves while a command is on its way to the old worker."""
    path, _, bob = await room(api)

    refusal = sfu.Failed(code="stale_epoch", reason="there is a later one")
    workers[0].reply = lambda command: refusal
    refused = await bob.put(f"{path}/audio/offer", SDP)
    assert (refused.status, refused.code) == (424, "stale_epoch")

    held: list[sfu.Command] = []
    workers[0].reply = held.append
    asking = asyncio.create_task(bob.put(f"{path}/audio/offer", SDP))
    await eventually(lambda: bool(held))
    await pool.execute("update meetings set worker_id = 'second', media_epoch = 2")
    reply = msgspec.msgpack.encode(sfu.Reply(id=held[0].id, result=refusal))
    await workers[0].redis.publish(held[0].reply_to, reply)
    assert (await asking).status == 204
    assert len(workers[1].asked(sfu.OfferAudio)) == 1


async def test_two_processes_move_a_meeting_once(
    api: Api,
    workers: tuple[Worker, Worker],
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    pool: asyncpg.Pool,
) -> None:
    async with running_api(database_url, redis_url, tmp_path):
        _, alice, _ = await room(api)
        await workers[0].die()
        await workers[0].forget()
        await alice.until("MEETING_MEDIA_RESET")
        again = await alice.seen(quiet=2.5)  # both have looked by then
        assert "MEDIA_RESET" not in kinds(again)
        assert await placement(pool) == ("second", 2)


async def test_a_record_missing_once_is_no_loss(
    api: Api, workers: tuple[Worker, Worker], pool: asyncpg.Pool
) -> None:
    """As when Redis was restarted empty and the workers are just registering anew."""
    _, alice, _ = await room(api)
    for _ in range(3):
        await workers[0].forget()
        assert kinds(await alice.seen(quiet=0.8)) == []
    assert await placement(pool) == ("first", 1)


async def test_the_meetings_of_a_lost_worker_are_spread(
    database_url: str, redis_url: str, tmp_path: Path, pool: asyncpg.Pool
) -> None:
    async with (
        running_worker(redis_url) as lost,
        running_api(database_url, redis_url, tmp_path) as api,
    ):
        alice = api.person("alice")
        for _ in range(12):
            await alice.started_meeting()
        async with running_worker(redis_url) as one, running_worker(redis_url) as two:
            await lost.die()
            await lost.forget()
            query = "select worker_id, count(*) from meetings group by worker_id"

            async def spread() -> bool:
                counts = dict(await pool.fetch(query))
                return counts.keys() == {one.name, two.name} and min(counts.values()) >= 3

            async with asyncio.timeout(WITHIN):
                while not await spread():
                    await asyncio.sleep(0.1)


async def test_a_meeting_that_cannot_be_moved_keeps_no_other(
    api: Api, workers: tuple[Worker, Worker], pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = api.person("alice")
    paths = [await alice.started_meeting() for _ in range(2 * AT_ONCE + 1)]
    stuck = {UUID(path.removeprefix("/meetings/")) for path in paths[:AT_ONCE]}
    relocate = Placement.relocate

    async def broken(placement: Placement, meeting_id: UUID, lost: Where) -> Where:
        if meeting_id in stuck:
            raise KeyError("a defect")
        return await relocate(placement, meeting_id, lost)

    monkeypatch.setattr(Placement, "relocate", broken)
    await workers[0].die()
    await workers[0].forget()
    async with asyncio.timeout(WITHIN):
        while await pool.fetchval("select count(*) from meetings where worker_id = 'first'") > len(
            stuck
        ):
            await asyncio.sleep(0.1)
