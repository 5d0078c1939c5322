"""Servers and processes that go away under UCWA programs: nothing that was answered is lost."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientError
from rig_meetings import WITHIN, Api
from ucwa_meeting import ENTERED, join, joined, news, program, scheduled
from ucwa_process import process
from ucwa_rig import Program, events_of, running_ucwa, told

from conference.machine.embedded import ValkeyServer

CAME_TO_LOBBY = ["added participant", "added participant in lobby"]
LEFT_LOBBY = ["deleted participant in lobby", "deleted participant"]


@pytest.fixture
def valkey(private_valkey: Callable[[], ValkeyServer]) -> ValkeyServer:
    return private_valkey()


async def until_ready(api: Api) -> None:
    """Redis is back, as the process sees it."""
    async with asyncio.timeout(WITHIN):
        while (await api.call("GET", "/readyz")).json["redis"]["ok"] is not True:
            await asyncio.sleep(0.05)


async def read_until(reader: Program, expected: list[str]) -> list[str]:
    """All that is told, until `expected` are the last of it. A poll that broke off is repeated."""
    found: list[str] = []
    async with asyncio.timeout(WITHIN):
        while found[-len(expected) :] != expected:
            answer = await reader.poll()
            if answer.status == 200:
                found += told(events_of(answer))
    return found


async def test_redis_goes_away_and_comes_back_under_a_parked_poll(
    valkey: ValkeyServer, database_url: str, tmp_path: Path
) -> None:
    async with running_ucwa(database_url, valkey.url, tmp_path, ucwa_poll_timeout=WITHIN) as api:
        alice, bob = await program(api, "alice"), await program(api, "bob")
        uri = await scheduled(alice)
        await joined(alice, uri)
        waits = await joined(bob, uri)
        await read_until(alice, CAME_TO_LOBBY)
        parked = asyncio.create_task(read_until(alice, LEFT_LOBBY))

        valkey.kill()
        gone = await bob.delete(waits.href)
        assert gone.status == 204, "the truth is in PostgreSQL"
        valkey.start()

        assert await parked == LEFT_LOBBY, "once, and nothing else"


async def test_an_emptied_redis_is_told_as_resync(
    valkey: ValkeyServer, database_url: str, tmp_path: Path
) -> None:
    async with running_ucwa(database_url, valkey.url, tmp_path) as api:
        alice, bob = await program(api, "alice"), await program(api, "bob")
        uri = await scheduled(alice)
        mine = await joined(alice, uri)
        await news(alice)
        valkey.kill()
        shutil.rmtree(valkey._data)
        valkey.start()
        await until_ready(api)
        answer = await alice.poll()
        assert set(answer.json["_links"]) == {"self", "resync"}
        assert (await alice.get(mine.href)).json["state"] == "Conferenced"
        await joined(bob, uri)
        assert await read_until(alice, CAME_TO_LOBBY) == CAME_TO_LOBBY


@pytest.mark.parametrize("after", [0.0, 0.004, 0.008, 0.012, 0.02])
async def test_a_process_is_killed_while_somebody_joins_there(
    after: float, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Whether or not the join took place, asking for it again elsewhere makes it so, and it is told once."""
    async with (
        running_ucwa(database_url, redis_url, tmp_path) as api,
        process(database_url, redis_url, tmp_path) as other,
    ):
        alice, bob = await program(api, "alice"), await program(api, "bob")
        uri = await scheduled(alice)
        await joined(alice, uri)
        await news(alice)
        there = Program(other.api, "bob")
        there.application = bob.application
        address = (await there.dashboard()).link("communication", "joinOnlineMeeting")
        wish = {"onlineMeetingUri": uri, "operationId": "one"}
        asking = asyncio.create_task(there.post(address, wish))
        await asyncio.sleep(after)
        await other.kill()
        with suppress(ClientError):  # the answer went with the process
            assert (await asking).status == 201
        again = await join(bob, uri, operationId="one")
        assert again.status == 201
        assert await read_until(bob, ENTERED) == ENTERED
        assert await read_until(alice, CAME_TO_LOBBY) == CAME_TO_LOBBY
        invitation = await bob.get(again.headers["Location"])
        assert (invitation.json["state"], invitation.json["operationId"]) == ("Connecting", "one")
