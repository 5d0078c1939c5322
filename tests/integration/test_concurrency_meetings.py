"""What happens at the same moment, at two API processes' applications over one PostgreSQL and one Redis.

Each race runs many times. Whatever its outcome, there is one: the answers fit the state, nothing is left over, and a
client that only followed events believes what a client that reads anew is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from rig_meetings import Answer, Api, Person, Worker, obliging, running_api, running_worker
from rig_view import View, read

from schemas import sfu

ROUNDS = 8
Pair = tuple[Api, Api]


@pytest.fixture
async def worker(redis_url: str) -> AsyncIterator[Worker]:
    async with running_worker(redis_url) as worker:
        yield worker


@pytest.fixture
async def apis(
    worker: Worker, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Pair]:
    async with (
        running_api(database_url, redis_url, tmp_path) as first,
        running_api(database_url, redis_url, tmp_path) as second,
    ):
        yield first, second


async def at_once(*calls: Awaitable[Answer]) -> list[int]:
    """Their statuses; none of them a failure of ours."""
    answers = await asyncio.gather(*calls)
    assert all(answer.status < 500 for answer in answers), answers
    return [answer.status for answer in answers]


async def follows(view: View, moderator: Person, path: str, *, audio: bool = False) -> None:
    """The moderator's view, once it has all events, is what can be read."""
    for event in await moderator.seen(quiet=0.05):
        if event["meetingId"] == path[10:]:
            view.apply(event)
    waiting = (await moderator.get(f"{path}/queue")).json["users"]
    truth = read(await moderator.state(path), waiting)
    assert (view.active, view.waiting) == (truth.active, truth.waiting)
    assert view.participants.keys() == truth.participants.keys()
    if audio:
        assert view.participants == truth.participants


async def rows(pool: asyncpg.Pool, table: str, path: str) -> int:
    query = f"select count(*) from {table} where meeting_id = $1"
    count: int = await pool.fetchval(query, UUID(path[10:]))
    return count


def decision(by: Person, path: str, whom: Person, status: str) -> Awaitable[Answer]:
    return by.post(f"{path}/queue/{whom.id}", {"status": status})


async def second_moderator(apis: Pair) -> tuple[Person, Person]:
    (alice,), (bob,) = await apis[0].people("alice"), await apis[1].people("bob")
    return alice, bob


async def test_accept_and_reject_at_once(apis: Pair, pool: asyncpg.Pool) -> None:
    alice, bob = await second_moderator(apis)
    (carol,) = await apis[0].people("carol")
    outcomes = set()
    for _ in range(ROUNDS):
        path = await alice.started_meeting("scheduled")
        await alice.put(f"{path}/members/{bob.id}", {"userType": "moderator"})
        await carol.join(path)
        view = View()
        statuses = await at_once(
            decision(alice, path, carol, "ACCEPTED"), decision(bob, path, carol, "REJECTED")
        )
        outcomes.add(tuple(statuses))
        assert statuses in ([204, 204], [404, 204])
        assert await rows(pool, "queue_entries", path) == 0, "the rejection, first or last, counts"
        member = (await carol.get(path)).status == 200
        assert member == (statuses == [204, 204])
        await follows(view, alice, path)
        told = [event["type"] for event in await carol.seen(quiet=0.05)]
        assert told[-1].endswith("REJECTED")
    assert outcomes


async def test_two_acceptances_at_once(apis: Pair) -> None:
    alice, bob = await second_moderator(apis)
    (carol,) = await apis[0].people("carol")
    path = await alice.started_meeting("scheduled")
    await alice.put(f"{path}/members/{bob.id}", {"userType": "moderator"})
    await carol.join(path)
    calls = [decision(by, path, carol, "ACCEPTED") for by in (alice, bob) * 4]
    assert set(await at_once(*calls)) == {204}
    members = (await alice.get(f"{path}/members")).json
    assert len(members) == 3


async def test_one_user_joins_from_two_clients_at_once(apis: Pair, pool: asyncpg.Pool) -> None:
    alice, _ = await second_moderator(apis)
    (one,), (other,) = await apis[0].people("carol"), await apis[1].people("carol")
    for _ in range(ROUNDS):
        path = await alice.started_meeting()
        await alice.put(f"{path}/members/{one.id}", {"userType": "registered"})
        await alice.seen(quiet=0.05)
        view = View(active=True)
        statuses = await at_once(one.try_join(path), other.try_join(path))
        assert statuses == [200, 200], "one is in, the other takes over"
        (participant,) = (await alice.state(path))["participants"]
        winner, loser = (one, other) if participant["queueId"] == one.queue_id else (other, one)
        assert participant["queueId"] == winner.queue_id
        clashes = [
            [e for e in await person.seen(quiet=0.05) if e["type"].endswith("CLASHED")]
            for person in (winner, loser)
        ]
        assert [len(found) for found in clashes] == [0, 1]
        assert await rows(pool, "participants", path) == 1
        await follows(view, alice, path)


async def test_one_channel_joins_many_times_at_once(apis: Pair) -> None:
    alice, _ = await second_moderator(apis)
    path = await alice.started_meeting()
    statuses = await at_once(*[alice.try_join(path) for _ in range(8)])
    assert sorted(statuses) == [200] + [409] * 7
    joined = [e for e in await alice.seen() if e["type"].endswith("JOINED")]
    assert len(joined) == 1


@pytest.mark.parametrize("kind", ["permanent", "scheduled"])
async def test_stop_during_joins(apis: Pair, pool: asyncpg.Pool, kind: str) -> None:
    alice, bob = await second_moderator(apis)
    guests = [*await apis[0].people("carol", "dave"), *await apis[1].people("erin", "frank")]
    for _ in range(ROUNDS // 2):
        path = await alice.started_meeting(kind)
        for person in (bob, *guests):
            role = "registered" if kind == "scheduled" and person is not bob else "moderator"
            await alice.put(f"{path}/members/{person.id}", {"userType": role})
        await alice.join(path)
        await alice.seen(quiet=0.05)
        view = View(active=True, participants={alice.id: set()})
        await at_once(*[guest.try_join(path) for guest in guests], bob.post(f"{path}/stop"))
        state = await alice.state(path)
        assert state["active"] is False
        assert state["participants"] == []
        assert await rows(pool, "participants", path) == 0
        await follows(view, alice, path)


async def test_the_last_one_leaves_while_another_joins(apis: Pair) -> None:
    alice, bob = await second_moderator(apis)
    outcomes = set()
    for _ in range(ROUNDS):
        path = await alice.started_meeting()
        await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
        await alice.join(path)
        await alice.seen(quiet=0.05)
        view = View(active=True, participants={alice.id: set()})
        left, joined = await at_once(alice.post(f"{path}/leave"), bob.try_join(path))
        assert left == 204
        state = await alice.state(path)
        inside = [item["userId"] for item in state["participants"]]
        if joined == 200:
            assert (state["active"], inside) == (True, [bob.id])
        else:
            assert joined == 424
            assert (state["active"], inside) == (False, [])
        outcomes.add(joined)
        await follows(view, alice, path)
    assert outcomes <= {200, 424}


async def test_delete_during_everything(apis: Pair, pool: asyncpg.Pool) -> None:
    alice, bob = await second_moderator(apis)
    (carol,) = await apis[1].people("carol")
    for _ in range(ROUNDS // 2):
        path = await alice.started_meeting("scheduled")
        await alice.put(f"{path}/members/{bob.id}", {"userType": "moderator"})
        await alice.join(path)
        statuses = await at_once(
            bob.try_join(path),
            carol.try_join(path),
            alice.put(f"{path}/audio/offer", {"sdp": "x"}),
            alice.put(f"{path}/media", {"type": "video", "enabled": True, "sdp": "x"}),
            bob.delete(path),
            alice.post(f"{path}/leave"),
        )
        assert statuses[4] in (204, 404)
        assert (await alice.get(path)).status == 404
        for table in ("participants", "queue_entries", "members"):
            assert await rows(pool, table, path) == 0


async def test_a_channel_closes_while_its_client_joins(apis: Pair, pool: asyncpg.Pool) -> None:
    alice, bob = await second_moderator(apis)
    path = await alice.started_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    await alice.join(path)
    for _ in range(ROUNDS):
        queue_id = await bob.open_channel()
        joined, closed = await at_once(bob.try_join(path), bob.delete(f"/channels/{queue_id}"))
        assert closed == 204
        assert joined in (200, 403)
        ghosts = await pool.fetchval(
            "select count(*) from participants where queue_id = $1", UUID(queue_id)
        )
        assert ghosts == 0


async def test_one_meeting_for_a_room(apis: Pair) -> None:
    alice, bob = await second_moderator(apis)
    for _ in range(ROUNDS):
        body = {"name": "x", "meetingType": "permanent", "roomId": str(uuid4())}
        statuses = await at_once(
            alice.post("/meetings", body),
            alice.post("/meetings", body),
            bob.post("/meetings", body),
        )
        assert statuses.count(200) == 1
        assert set(statuses) <= {200, 403, 409}


async def test_the_worker_ends_up_with_the_flag_as_it_is(apis: Pair, worker: Worker) -> None:
    """A user unmutes while a moderator mutes: the worker's last word is the database's."""
    alice, bob = await second_moderator(apis)
    path = await alice.started_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    await alice.join(path)
    await bob.join(path)
    await bob.put(f"{path}/audio/offer", {"sdp": "x"})
    enabled: list[bool] = [False]

    def remember(command: sfu.Command) -> sfu.Done | sfu.Answered:
        if isinstance(command.body, sfu.SetAudio) and str(command.body.user) == bob.id:
            enabled[0] = command.body.enabled
        return obliging(command)

    worker.reply = remember
    await alice.seen(quiet=0.05)
    view = View(active=True, participants={alice.id: set(), bob.id: set()})
    for _ in range(ROUNDS):
        await at_once(
            bob.put(f"{path}/audio", {"enabled": True}),
            alice.put(f"{path}/audio", {"enabled": False, "userToModerate": bob.id}),
            bob.put(f"{path}/audio", {"enabled": True}),
            alice.put(f"{path}/audio", {"enabled": False, "userToModerate": bob.id}),
        )
        participants = (await alice.state(path))["participants"]
        (flag,) = [i["audioStreamEnabled"] for i in participants if i["userId"] == bob.id]
        assert enabled[0] == flag
        await follows(view, alice, path, audio=True)


async def test_the_media_is_placed_once(
    redis_url: str, database_url: str, tmp_path: Path, pool: asyncpg.Pool
) -> None:
    """Started without a worker, then everyone offers at once while there are two."""
    async with (
        running_api(database_url, redis_url, tmp_path) as first,
        running_api(database_url, redis_url, tmp_path) as second,
    ):
        alice, bob = await second_moderator((first, second))
        path = await alice.started_meeting()
        await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
        await alice.join(path)
        await bob.join(path)
        async with running_worker(redis_url) as one, running_worker(redis_url) as two:
            offers = [by.put(f"{path}/audio/offer", {"sdp": "x"}) for by in (alice, bob) * 3]
            assert set(await at_once(*offers)) == {204}
            assert sorted([len(one.commands), len(two.commands)]) == [0, 6]
            epoch = await pool.fetchval("select media_epoch from meetings")
            assert epoch == 1


async def test_many_people_come_and_go(apis: Pair) -> None:
    alice, _ = await second_moderator(apis)
    names = [f"guest{number}" for number in range(8)]
    guests = [*await apis[0].people(*names[:4]), *await apis[1].people(*names[4:])]
    path = await alice.started_meeting("scheduled")
    await alice.join(path)
    await alice.seen(quiet=0.05)
    view = View(active=True, participants={alice.id: set()})

    async def visit(guest: Person) -> None:
        for _ in range(3):
            await guest.join(path)
            assert (await decision(alice, path, guest, "ACCEPTED")).status == 204
            assert await guest.join(path) == "ACCEPTED"
            assert (await guest.put(f"{path}/audio", {"enabled": True})).status == 204
            assert (await guest.post(f"{path}/leave")).status == 204

    await asyncio.gather(*[visit(guest) for guest in guests])
    await follows(view, alice, path)
    assert view.participants == {alice.id: set()}
