"""However a poll or a stream ends, it is over: nobody counts as reading any more, and who was in a meeting leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from rig_meetings import WITHIN, Api, Person, running_api

Reading = Callable[[AsyncExitStack, Api, Person], Awaitable[aiohttp.ClientSession]]
GRACE = 1.2


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """Its sweep is quick, its silence short."""
    limits = {"sweep_interval": 0.1, "channel_grace": GRACE, "channel_idle": 30.0}
    async with running_api(database_url, redis_url, tmp_path, **limits) as api:
        yield api


async def _session(stack: AsyncExitStack) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession()
    session._retry_connection = False
    stack.push_async_callback(session.close)
    return session


async def poll(stack: AsyncExitStack, api: Api, person: Person) -> aiohttp.ClientSession:
    session = await _session(stack)
    await person.seen()
    address = api.server.make_url(f"{person._next}&timeout=60")
    task = asyncio.create_task(session.get(address, headers=person.headers))
    stack.callback(task.cancel)
    return session


async def sse(stack: AsyncExitStack, api: Api, person: Person) -> aiohttp.ClientSession:
    session = await _session(stack)
    address = api.server.make_url(f"/channels/{person.queue_id}/stream")
    response = await session.get(address, headers=person.headers)
    assert response.status == 200
    stack.push_async_exit(response)
    return session


async def websocket(stack: AsyncExitStack, api: Api, person: Person) -> aiohttp.ClientSession:
    session = await _session(stack)
    address = api.server.make_url(f"/events?queueId={person.queue_id}")
    socket = await session.ws_connect(address, headers=person.headers)
    assert (await socket.receive_json())["type"] == "websocketConnected"
    listening = asyncio.create_task(_listen(socket))
    stack.callback(listening.cancel)
    return session


async def _listen(socket: aiohttp.ClientWebSocketResponse) -> None:
    """As a page does: so pings are answered."""
    async for _ in socket:
        pass


async def readers(api: Api) -> int:
    """As the process counts them itself."""
    lines = (await api.call("GET", "/metrics")).json.decode().splitlines()
    (line,) = [line for line in lines if line.startswith("parley_parked_readers ")]
    return int(float(line.split()[1]))


async def until_readers(api: Api, count: int) -> None:
    async with asyncio.timeout(WITHIN):
        while await readers(api) != count:
            await asyncio.sleep(0.05)


# --- the ends of a reader ---------------------------------------------------------------------


async def closed(api: Api, person: Person, session: aiohttp.ClientSession) -> None:
    await session.close()


async def reset(api: Api, person: Person, session: aiohttp.ClientSession) -> None:
    """As a machine does that was restarted."""
    found = [protocol.transport for protocol in session.connector._acquired if protocol.transport]
    assert found
    for transport in found:
        transport.abort()


async def displaced(api: Api, person: Person, session: aiohttp.ClientSession) -> None:
    """By polls that are over soon; the first one is told its position only."""
    for _ in range(2):
        await person.seen()


async def channel_closed(api: Api, person: Person, session: aiohttp.ClientSession) -> None:
    assert (await person.delete(f"/channels/{person.queue_id}")).status == 204


async def going(api: Api, person: Person, session: aiohttp.ClientSession) -> None:
    """The page says that it goes, then its connection ends."""
    await person.post(f"/channels/{person.queue_id}/going")
    await session.close()


READERS = [poll, sse, websocket]
ENDS = [closed, reset, displaced, channel_closed, going]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("reader", READERS)
async def test_a_reader_that_ended_is_none_and_its_participant_leaves(
    api: Api, reader: Reading, end: Callable[..., Awaitable[None]]
) -> None:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting()
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    await bob.join(path)
    async with AsyncExitStack() as stack:
        session = await reader(stack, api, bob)
        await until_readers(api, 1)
        await end(api, bob, session)
        await until_readers(api, 0)
        async with asyncio.timeout(WITHIN):
            while (await alice.state(path))["participants"]:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("reader", READERS)
async def test_a_reader_that_goes_on_stays(api: Api, reader: Reading) -> None:
    (alice,) = await api.people("alice")
    path = await alice.started_meeting()
    async with AsyncExitStack() as stack:
        bob = api.person("bob")
        await bob.open_channel()
        await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
        await bob.join(path)
        await reader(stack, api, bob)
        for _ in range(6):
            await asyncio.sleep(GRACE / 3)
            assert [item["userId"] for item in (await alice.state(path))["participants"]] == [
                bob.id
            ]


async def test_a_refused_reader_is_none(api: Api) -> None:
    """What fails after the channel was taken over, and before a stream began."""
    alice = api.person("alice")
    queue_id = await alice.open_channel()
    for address in (
        f"/channels/{queue_id}/stream?lastEventId=x",
        f"/channels/{queue_id}/events?ack=x",
        f"/events?queueId={queue_id}",
        f"/events?queueId={queue_id}&after=x",
    ):
        assert (await alice.get(address)).status == 400
    assert await readers(api) == 0
