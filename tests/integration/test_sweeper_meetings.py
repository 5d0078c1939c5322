"""Silent clients leave, idle channels close, expired meetings go, and what a crash left is cleared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from rig_meetings import WITHIN, Api, kinds, running_api


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    limits = {"sweep_interval": 0.1, "channel_grace": 2.0, "channel_idle": 6.0}
    async with running_api(database_url, redis_url, tmp_path, **limits) as api:
        yield api


@pytest.fixture
async def patient(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """Sweeps often, and is patient with silence."""
    async with running_api(database_url, redis_url, tmp_path, sweep_interval=0.1) as api:
        yield api


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN):
        while not await holds():
            await asyncio.sleep(0.05)


async def test_a_client_that_stops_reading_leaves_and_one_that_waits_stays(
    api: Api, pool: asyncpg.Pool
) -> None:
    alice, bob, carol = await api.people("alice", "bob", "carol")
    path = await alice.started_meeting("scheduled")
    await alice.put(f"{path}/members/{bob.id}", {"userType": "moderator"})
    await alice.join(path)
    await bob.join(path)
    await carol.join(path)
    await alice.seen()
    told = {}
    async with asyncio.timeout(WITHIN):
        while len(told) < 2:
            told |= {event["userId"]: kinds([event]) for event in await alice.seen(quiet=0.3)}
    assert told == {bob.id: ["PARTICIPANT_LEFT"], carol.id: ["WAITING_PARTICIPANT_REJECTED"]}
    assert "PARTICIPANT_LEFT" in kinds(await bob.seen()), "the channel is still there"
    assert await alice.seen(quiet=2.5) == []
    state = await alice.state(path)
    assert [item["userId"] for item in state["participants"]] == [alice.id], "her polls were parked"

    async def closed() -> bool:
        query = "select not exists (select from channels where queue_id = $1)"
        return bool(await pool.fetchval(query, UUID(carol.queue_id)))

    await until(closed)
    assert (await carol.get(f"/channels/{carol.queue_id}/events?ack=1")).status == 404


async def test_an_expired_meeting_goes_once_it_is_empty(patient: Api) -> None:
    alice, bob = await patient.people("alice", "bob")
    soon = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
    empty = await alice.new_meeting("scheduled", expiration=soon)
    busy = await alice.new_meeting("scheduled", expiration=soon)
    kept = await alice.new_meeting("permanent", expiration=soon)
    await alice.post(f"{busy}/start")
    await alice.join(busy)
    await bob.join(empty)

    async def gone() -> bool:
        return (await alice.get(empty)).status == 404

    await until(gone)
    told = [event for event in await alice.seen() if event["meetingId"] == empty[10:]]
    assert kinds(told)[-1] == "DELETED"
    assert kinds(await bob.seen()) == ["STOPPED", "DELETED"], "those who wait are told"
    assert (await alice.get(busy)).status == 200
    assert (await alice.get(kept)).status == 200
    await alice.post(f"{busy}/leave")

    async def gone_too() -> bool:
        return (await alice.get(busy)).status == 404

    await until(gone_too)


async def test_a_ghost_of_a_crash_is_cleared(patient: Api, pool: asyncpg.Pool) -> None:
    """A process died after it removed a channel and before it made its participant leave."""
    alice, bob = await patient.people("alice", "bob")
    path = await alice.started_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    await alice.join(path)
    await bob.join(path)
    await pool.execute("delete from channels where queue_id = $1", UUID(bob.queue_id))
    left = await alice.until("MEETING_PARTICIPANT_LEFT")
    assert left["userId"] == bob.id


async def test_a_long_queue_of_ghosts_is_cleared_in_one_change(
    patient: Api, pool: asyncpg.Pool
) -> None:
    (alice,) = await patient.people("alice")
    path = await alice.started_meeting("scheduled")
    await alice.join(path)
    await alice.seen()
    await pool.execute(
        """insert into queue_entries (meeting_id, user_id, queue_id, status, queued_at)
           select $1, gen_random_uuid(), gen_random_uuid(), 'WAITING', now() from generate_series(1, 300)""",
        UUID(path[10:]),
    )

    async def cleared() -> bool:
        left = await pool.fetchval(
            "select count(*) from queue_entries where meeting_id = $1", UUID(path[10:])
        )
        assert left in (0, 300), "all of them or none"
        return bool(left == 0)

    await until(cleared)
    told: list[str] = []
    async with asyncio.timeout(WITHIN):
        while len(told) < 300:
            told += kinds(await alice.seen())
    assert set(told) == {"WAITING_PARTICIPANT_REJECTED"}


async def test_a_meeting_that_nobody_comes_into_stops(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    limits = {"sweep_interval": 0.1, "meeting_unused": 1.0}
    async with running_api(database_url, redis_url, tmp_path, **limits) as api:
        alice, bob = await api.people("alice", "bob")
        used = await alice.started_meeting("scheduled")
        await alice.join(used)
        unused = await alice.started_meeting("scheduled")
        assert await bob.join(unused) == "WAITING"
        stopped = await bob.until("MEETING_STOPPED")
        assert (stopped["meetingId"], stopped["reason"]) == (unused[10:], "unused")
        assert (await alice.state(unused))["active"] is False
        assert (await alice.state(used))["active"] is True


async def test_a_client_that_says_it_goes_is_out_at_once_and_comes_back_without_waiting(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conference.services.channels.BACK_WITHIN", 0.5)
    limits = {"sweep_interval": 0.1, "channel_grace": 60.0}
    async with running_api(database_url, redis_url, tmp_path, **limits) as api:
        alice, bob, carol = await api.people("alice", "bob", "carol")
        path = await alice.started_meeting("scheduled")
        await alice.join(path)
        for guest in (bob, carol):
            waits = await guest.try_join(path)
            assert waits.json == {"status": "WAITING", "moderated": True}
            await alice.post(f"{path}/queue/{guest.id}", {"status": "ACCEPTED"})
            await guest.join(path)
        foreign = await carol.post(f"/channels/{bob.queue_id}/going")
        assert foreign.status == 404
        for guest in (bob, carol):
            assert (await guest.post(f"/channels/{guest.queue_id}/going")).status == 204
        await carol.seen(quiet=1.0)  # carol is back, as bob is not
        left = await alice.until("MEETING_PARTICIPANT_LEFT")
        assert (left["userId"], left["reason"]) == (bob.id, "lost")
        state = await alice.state(path)
        assert {item["userId"] for item in state["participants"]} == {alice.id, carol.id}
        assert (await bob.until("MEETING_PARTICIPANT_LEFT"))["reason"] == "lost"
        assert await bob.join(path) == "ACCEPTED", "with the same channel"
        await alice.delete(f"{path}/members/{bob.id}")
        removed = await bob.until("MEETING_PARTICIPANT_LEFT")
        assert (removed["reason"], removed["moderatorId"]) == ("removed", alice.id)
        await bob.open_channel()
        assert await bob.join(path) == "WAITING"
