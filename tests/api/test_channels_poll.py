"""Pending GET over HTTP, on the whole application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from channel_api import Server, Stage, User, numbers, stage_on
from channel_rig import SOON, until

from conference import tokens


@pytest.fixture
async def stage(
    pool: asyncpg.Pool, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Stage]:
    async with stage_on(pool, database_url, redis_url, tmp_path) as stage:
        yield stage


@pytest.fixture
async def server(stage: Stage) -> Server:
    return await stage.server()


@pytest.fixture
async def alice(stage: Stage, server: Server) -> User:
    return await stage.user(server)


async def test_opening_names_the_first_address(alice: User) -> None:
    queue_id, first = await alice.open()
    assert first == f"/channels/{queue_id}/events?ack=1"


async def test_events_come_with_the_address_that_acknowledges_them(
    stage: Stage, alice: User
) -> None:
    queue_id, first = await alice.open()
    await stage.publish(queue_id, 1, 2)
    body = await alice.get(first)
    assert numbers(body.pop("events")) == [1, 2]
    assert body == {
        "queueId": str(queue_id),
        "ack": 1,
        "next": f"/channels/{queue_id}/events?ack=2",
    }


async def test_a_repeated_position_repeats_its_batch_and_the_next_goes_on(
    stage: Stage, alice: User
) -> None:
    queue_id, first = await alice.open()
    await stage.publish(queue_id, 1)
    answer = await alice.get(first)
    await stage.publish(queue_id, 2)
    assert await alice.get(first) == answer
    assert numbers((await alice.get(answer["next"]))["events"]) == [2]


async def test_a_skipped_position_resyncs(stage: Stage, alice: User) -> None:
    queue_id, first = await alice.open()
    await stage.publish(queue_id, 1)
    body = await alice.get(f"/channels/{queue_id}/events?ack=5")
    assert body == {"queueId": str(queue_id), "ack": 5, "events": [], "resync": first}
    assert numbers((await alice.get(body["resync"]))["events"]) == [1]


async def test_time_out_answers_with_the_next_position(stage: Stage, alice: User) -> None:
    queue_id, first = await alice.open()
    body = await alice.get(first + "&timeout=0.05")
    following = first.replace("ack=1", "ack=2")
    assert body == {"queueId": str(queue_id), "ack": 1, "events": [], "next": following}
    await stage.publish(queue_id, 1)
    assert await alice.get(first) == body, "it may have been lost"
    assert numbers((await alice.get(following))["events"]) == [1]


async def test_a_parked_poll_is_answered_by_an_event(stage: Stage, alice: User) -> None:
    queue_id, first = await alice.open()
    poll = asyncio.create_task(alice.get(first))
    await stage.until_read(queue_id)
    await stage.publish(queue_id, 7)
    assert numbers((await poll)["events"]) == [7]


async def test_a_newer_poll_at_another_process_replaces_the_parked_one(
    stage: Stage, alice: User
) -> None:
    queue_id, first = await alice.open()
    older = asyncio.create_task(alice.call("GET", first))
    await stage.until_read(queue_id)
    elsewhere = await stage.user(await stage.server())
    newer = asyncio.create_task(elsewhere.get(first))
    status, body = await older
    assert (status, body["code"]) == (409, "poll_replaced")
    await stage.until_read(queue_id)
    await stage.publish(queue_id, 1)
    assert numbers((await newer)["events"]) == [1]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "bad_ack"),
        ("?ack=0", "bad_ack"),
        ("?ack=-1", "bad_ack"),
        ("?ack=1.0", "bad_ack"),
        ("?ack=one", "bad_ack"),
        ("?ack=%C2%B2", "bad_ack"),
        ("?ack=1&timeout=soon", "bad_timeout"),
        ("?ack=1&timeout=nan", "bad_timeout"),
    ],
)
async def test_what_is_not_a_position_is_refused(alice: User, query: str, code: str) -> None:
    queue_id, _ = await alice.open()
    status, body = await alice.call("GET", f"/channels/{queue_id}/events{query}")
    assert (status, body["code"]) == (400, code)


@pytest.mark.parametrize("timeout", ["0", "-3", "-inf"])
async def test_a_time_out_below_the_bounds_is_taken_into_them(alice: User, timeout: str) -> None:
    _, first = await alice.open()
    assert (await alice.get(f"{first}&timeout={timeout}"))["events"] == []


async def test_a_time_out_above_the_bounds_is_taken_into_them(stage: Stage) -> None:
    alice = await stage.user(await stage.server(poll_timeout_max=0.05))
    _, first = await alice.open()
    assert (await alice.get(first + "&timeout=1e300"))["events"] == []


async def test_a_position_beyond_all_numbers_resyncs(alice: User) -> None:
    queue_id, first = await alice.open()
    body = await alice.get(f"/channels/{queue_id}/events?ack={'9' * 400}")
    assert body["resync"] == first


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_of_other_peoples_channels_nothing_is_told(
    stage: Stage, server: Server, alice: User, method: str
) -> None:
    bob = await stage.user(server, "bob")
    queue_id, first = await alice.open()
    await stage.publish(queue_id, 1)
    foreign = first if method == "GET" else f"/channels/{queue_id}"
    unknown = foreign.replace(str(queue_id), str(uuid4()))
    answers = [await bob.call(method, path) for path in (foreign, unknown)]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert numbers((await alice.get(first))["events"]) == [1]


async def test_without_a_token_there_is_no_channel(alice: User) -> None:
    alice.headers = {}
    assert (await alice.call("POST", "/channels"))[0] == 401


async def test_polls_are_never_cached(alice: User) -> None:
    _, first = await alice.open()
    address = f"{alice.url}{first}&timeout=0.01"
    async with alice.session.get(address, headers=alice.headers) as response:
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Content-Type"] == "application/json"


async def test_a_closed_channel_is_gone_also_for_its_parked_poll_elsewhere(
    stage: Stage, alice: User
) -> None:
    queue_id, first = await alice.open()
    elsewhere = await stage.user(await stage.server())
    parked = asyncio.create_task(elsewhere.call("GET", first))
    await stage.until_read(queue_id)
    assert await alice.call("DELETE", f"/channels/{queue_id}") == (204, None)
    assert (await parked)[0] == 404
    assert (await alice.call("GET", first))[0] == 404
    assert (await alice.call("DELETE", f"/channels/{queue_id}"))[0] == 404


async def test_closing_has_the_participant_leave(stage: Stage, alice: User) -> None:
    queue_id, _ = await alice.open()
    user_id = tokens.user_named("alice").id
    meeting_id = await _meeting_with(stage.rig.pool, user_id, queue_id)
    await alice.call("DELETE", f"/channels/{queue_id}")
    left = "select count(*) = 0 from participants where meeting_id = $1"
    assert await stage.rig.pool.fetchval(left, meeting_id)


async def test_a_client_that_hangs_up_is_no_longer_waiting(stage: Stage, alice: User) -> None:
    """So that its silence is noticed, and its participant leaves in the end."""
    queue_id, first = await alice.open()
    poll = asyncio.create_task(alice.call("GET", first))
    await stage.until_read(queue_id)
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)

    async def nobody_waits() -> bool:
        key = f"parley:channel:{queue_id}"
        return not await stage.rig.link.lane.call(b"HEXISTS", key, b"reader")

    await until(nobody_waits)
    await stage.publish(queue_id, 1)
    assert numbers((await alice.get(first))["events"]) == [1]


async def test_shutdown_answers_parked_polls_and_they_go_on_elsewhere(
    stage: Stage, server: Server, alice: User
) -> None:
    queue_id, first = await alice.open()
    parked = asyncio.create_task(alice.get(first))
    await stage.until_read(queue_id)
    async with asyncio.timeout(SOON / 2):
        await server.stop()
        body = await parked
    assert (body["events"], body["next"]) == ([], first.replace("ack=1", "ack=2"))
    elsewhere = await stage.user(await stage.server())
    await stage.publish(queue_id, 1)
    assert numbers((await elsewhere.get(body["next"]))["events"]) == [1]


async def test_overflow_resyncs_and_goes_on(stage: Stage, alice: User) -> None:
    queue_id, first = await alice.open()
    await stage.publish(queue_id, *range(101))
    body = await alice.get(first)
    assert body["events"] == []
    await stage.publish(queue_id, 500)
    assert numbers((await alice.get(body["resync"]))["events"]) == [500]


async def _meeting_with(pool: asyncpg.Pool, user_id: UUID, queue_id: UUID) -> UUID:
    meeting_id = uuid4()
    await pool.execute(
        """insert into meetings (id, name, meeting_type, owner_id, join_code, active, created_at)
        values ($1, 'm', 'permanent', $2, 'abcdefghij', true, now())""",
        meeting_id,
        user_id,
    )
    await pool.execute(
        """insert into participants
        (meeting_id, user_id, queue_id, wants_audio, wants_video, joined_at)
        values ($1, $2, $3, false, false, now())""",
        meeting_id,
        user_id,
        queue_id,
    )
    return meeting_id
