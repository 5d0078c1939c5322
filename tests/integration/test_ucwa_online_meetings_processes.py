"""Online meetings at two API processes' applications over one PostgreSQL: at the same moment, yet one after another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig_meetings import Api, Json, running_api
from ucwa_rig import Program

ROUNDS = 6


@pytest.fixture
async def apis(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[tuple[Api, Api]]:
    changed: Json = {"ucwa_assigned_meetings": True, "ucwa_meetings_max": 12}
    async with (
        running_api(database_url, redis_url, tmp_path, **changed) as first,
        running_api(database_url, redis_url, tmp_path, **changed) as second,
    ):
        yield first, second


@pytest.fixture
async def both(apis: tuple[Api, Api]) -> tuple[Program, Program]:
    """Two programs with one application of alice's, each at its own process."""
    first, second = Program(apis[0], "alice"), Program(apis[1], "alice")
    await first.start(endpointId="one")
    await second.start(endpointId="one")
    assert first.application == second.application
    return first, second


async def address_of(program: Program, rel: str) -> str:
    return (await program.dashboard()).link("onlineMeetings", rel)


async def test_one_put_of_two_wins(both: tuple[Program, Program]) -> None:
    first, second = both
    created = await first.post(await address_of(first, "myOnlineMeetings"), {"subject": "0"})
    for round_ in range(ROUNDS):
        name = "subject" if round_ % 2 else "description"
        etag = (await second.get(created.href)).etag
        answers = await asyncio.gather(
            first.put(created.href, {name: f"{round_} first"}, if_match=etag),
            second.put(created.href, {name: f"{round_} second"}, if_match=etag),
        )
        assert sorted(answer.status for answer in answers) == [200, 412]
        winner = next(answer for answer in answers if answer.status == 200)
        for program in both:
            assert (await program.get(created.href)).json == winner.json


async def test_an_extension_is_added_once(both: tuple[Program, Program]) -> None:
    first, second = both
    created = await first.post(await address_of(first, "myOnlineMeetings"), {})
    address = created.link("onlineMeetingExtensions")
    for round_ in range(ROUNDS):
        body = {"id": str(round_)}
        answers = await asyncio.gather(first.post(address, body), second.post(address, body))
        assert sorted(answer.status for answer in answers) == [201, 409]
    assert len((await second.get(address)).embedded("onlineMeetingExtension")) == ROUNDS


async def test_a_limit_holds_at_both(both: tuple[Program, Program]) -> None:
    address = await address_of(both[0], "myOnlineMeetings")
    answers = await asyncio.gather(*(program.post(address, {}) for program in both * 8))
    assert sorted(answer.status for answer in answers) == [201] * 12 + [409] * 4


async def test_the_assigned_meeting_is_made_once(both: tuple[Program, Program]) -> None:
    address = await address_of(both[0], "myAssignedOnlineMeeting")
    for _ in range(ROUNDS):
        answers = await asyncio.gather(*(program.get(address) for program in both * 2))
        assert len({answer.json["onlineMeetingId"] for answer in answers}) == 1
        assert (await both[0].delete(address)).status == 204


async def test_deleting_while_changing(both: tuple[Program, Program]) -> None:
    """Whichever comes first: nothing is left, and nobody is told that something failed."""
    first, second = both
    meetings = await address_of(first, "myOnlineMeetings")
    for _ in range(ROUNDS):
        created = await first.post(meetings, {})
        data = created.link("onlineMeetingExtensions")
        deleted, changed, added, listed = await asyncio.gather(
            first.delete(created.href),
            second.put(created.href, {"subject": "x"}),
            second.post(data, {"id": "1"}),
            second.get(meetings),
        )
        assert deleted.status == 204
        assert changed.status in (200, 404)
        assert added.status in (201, 404)
        assert listed.status == 200
        assert (await second.get(created.href)).status == 404
        assert (await second.get(data)).status == 404
