"""Server-sent events and WebSocket over the same channels, on the whole application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import msgspec
import pytest
from aiohttp import WSMsgType
from channel_api import Server, Stage, User, numbers, stage_on
from channel_rig import until

from conference.api.channels.websocket import CLOSED, REPLACED, SUBPROTOCOL


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


class Sse(msgspec.Struct):
    """One event of a stream."""

    name: str
    id: int | None
    data: dict[str, Any]


class SseReader:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> Sse | None:
        """The next event; None at the end."""
        fields: dict[str, str] = {}
        while line := await self._response.content.readline():
            text = line.decode().rstrip("\n")
            if text.startswith(":"):
                continue
            if text:
                name, _, value = text.partition(": ")
                fields[name] = value
            elif "data" in fields:
                return Sse(
                    fields.get("event", "message"),
                    int(fields["id"]) if "id" in fields else None,
                    msgspec.json.decode(fields["data"]),
                )
            else:
                fields.clear()  # "retry" alone
        return None

    async def some(self, count: int) -> list[int]:
        """The numbers of the next events."""
        found = [await self.next() for _ in range(count)]
        return numbers([event.data for event in found if event])


@asynccontextmanager
async def sse(user: User, queue_id: UUID, last: int | None = None) -> AsyncIterator[SseReader]:
    headers = user.headers | ({"Last-Event-ID": str(last)} if last is not None else {})
    address = f"{user.url}/channels/{queue_id}/stream"
    async with user.session.get(address, headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        yield SseReader(response)


async def received(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[int]:
    return numbers([await socket.receive_json() for _ in range(count)])


def websocket(user: User, query: str = "", **options: Any) -> Any:
    options.setdefault("headers", user.headers)
    return user.session.ws_connect(f"{user.url}/events{query}", **options)


# --- server-sent events -----------------------------------------------------------------------


async def test_sse_gives_what_is_there_and_what_comes(stage: Stage, alice: User) -> None:
    queue_id, _ = await alice.open()
    await stage.publish(queue_id, 1, 2)
    async with sse(alice, queue_id) as events:
        assert await events.some(2) == [1, 2]
        await stage.publish(queue_id, 3)
        event = await events.next()
        assert event
        assert (event.name, event.id, numbers([event.data])) == ("message", 3, [3])


async def test_sse_resumes_after_the_last_event_that_the_client_has(
    stage: Stage, alice: User
) -> None:
    queue_id, _ = await alice.open()
    await stage.publish(queue_id, 1, 2, 3)
    async with sse(alice, queue_id) as events:
        await events.some(3)
    async with sse(alice, queue_id, last=2) as events:
        assert await events.some(1) == [3]
        await stage.publish(queue_id, 4)
        assert await events.some(1) == [4]


async def test_sse_without_a_last_event_begins_after_what_was_acknowledged(
    stage: Stage, alice: User
) -> None:
    queue_id, _ = await alice.open()
    await stage.publish(queue_id, 1, 2)
    async with sse(alice, queue_id, last=1) as events:
        await events.some(1)
    async with sse(alice, queue_id) as events:
        assert await events.some(1) == [2]


@pytest.mark.parametrize("last", [0, 99])
async def test_sse_from_a_position_that_does_not_hold_resyncs_and_goes_on(
    stage: Stage, alice: User, last: int
) -> None:
    queue_id, _ = await alice.open()
    await stage.publish(queue_id, 1, 2)
    async with sse(alice, queue_id, last=1):
        pass
    async with sse(alice, queue_id, last=last) as events:
        event = await events.next()
        assert event
        assert (event.name, event.id) == ("resync", 1)
        assert await events.some(1) == [2]


async def test_sse_that_never_acknowledges_keeps_the_newest_events(
    stage: Stage, alice: User
) -> None:
    queue_id, _ = await alice.open()
    async with sse(alice, queue_id) as events:
        for number in range(250):
            await stage.publish(queue_id, number)
            assert await events.some(1) == [number]
    async with sse(alice, queue_id, last=220) as events:
        assert await events.some(30) == list(range(220, 250))
    async with sse(alice, queue_id, last=100) as events:
        event = await events.next()
        assert event
        assert event.name == "resync"


async def test_a_poll_takes_over_from_sse(stage: Stage, alice: User) -> None:
    queue_id, first = await alice.open()
    await stage.publish(queue_id, 1)
    async with sse(alice, queue_id) as events:
        assert await events.some(1) == [1]
        resync = (await alice.get(first))["resync"]
        assert numbers((await alice.get(resync))["events"]) == [1]
        event = await events.next()
        assert event
        assert event.name == "replaced"
        assert await events.next() is None


async def test_sse_takes_over_from_a_poll(stage: Stage, alice: User) -> None:
    queue_id, first = await alice.open()
    poll = asyncio.create_task(alice.call("GET", first))
    await stage.until_read(queue_id)
    async with sse(alice, queue_id) as events:
        assert (await poll)[0] == 409
        await stage.publish(queue_id, 1)
        assert await events.some(1) == [1]


async def test_sse_says_when_the_channel_closes(stage: Stage, alice: User) -> None:
    queue_id, _ = await alice.open()
    async with sse(alice, queue_id) as events:
        await stage.until_read(queue_id)
        await alice.call("DELETE", f"/channels/{queue_id}")
        event = await events.next()
        assert event
        assert event.name == "closed"


async def test_sse_ends_at_shutdown(stage: Stage, server: Server, alice: User) -> None:
    queue_id, _ = await alice.open()
    async with sse(alice, queue_id) as events:
        await stage.until_read(queue_id)
        stopping = asyncio.create_task(server.stop())
        assert await events.next() is None
        await stopping


async def test_sse_takes_the_token_from_the_query_and_polls_do_not(alice: User) -> None:
    queue_id, first = await alice.open()
    alice.headers = {}
    query = f"access_token={alice.token}"
    stream = f"{alice.url}/channels/{queue_id}/stream?{query}"
    async with alice.session.get(stream) as response:
        assert response.status == 200
    assert (await alice.call("GET", f"{first}&{query}"))[0] == 401


@pytest.mark.parametrize("last", ["x", "-1", "1.5"])
async def test_sse_refuses_what_is_not_a_position(alice: User, last: str) -> None:
    queue_id, _ = await alice.open()
    alice.headers["Last-Event-ID"] = last
    assert (await alice.call("GET", f"/channels/{queue_id}/stream"))[0] == 400


# --- WebSocket --------------------------------------------------------------------------------


async def test_websocket_begins_with_its_channel_then_passes_events_on(
    stage: Stage, alice: User
) -> None:
    async with websocket(alice) as socket:
        hello = await socket.receive_json()
        assert hello["type"] == "websocketConnected"
        assert hello["position"] == 0
        await stage.publish(UUID(hello["queueId"]), 1, 2)
        assert await received(socket, 2) == [1, 2]


async def test_websocket_pings_are_answered_and_other_frames_ignored(alice: User) -> None:
    async with websocket(alice) as socket:
        await socket.receive_json()
        await socket.send_str("not JSON")
        await socket.send_json({"type": "other"})
        await socket.send_bytes(b"\x00")
        await socket.send_json({"type": "ping"})
        assert await socket.receive_json() == {"type": "pong"}


async def test_websocket_resumes_after_what_its_client_confirmed(stage: Stage, alice: User) -> None:
    """aiohttp's client answers protocol pings by itself, as browsers do."""
    queue_id, _ = await alice.open()
    async with websocket(alice, f"?queueId={queue_id}") as socket:
        await socket.receive_json()
        await stage.publish(queue_id, 1, 2, 3)
        assert await received(socket, 3) == [1, 2, 3]
        listening = asyncio.create_task(socket.receive())
        await until(lambda: _acknowledged(stage, queue_id, 3))
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    await stage.publish(queue_id, 4)
    async with websocket(alice, f"?queueId={queue_id}") as socket:
        assert (await socket.receive_json())["position"] == 3
        assert await received(socket, 1) == [4]


async def test_websocket_resumes_where_its_client_says(stage: Stage, alice: User) -> None:
    queue_id, _ = await alice.open()
    await stage.publish(queue_id, 1, 2, 3)
    async with websocket(alice, f"?queueId={queue_id}&after=2") as socket:
        assert (await socket.receive_json())["position"] == 2
        assert await received(socket, 1) == [3]
    async with websocket(alice, f"?queueId={queue_id}&after=1") as socket:
        assert (await socket.receive_json())["type"] == "websocketConnected"
        assert (await socket.receive_json())["type"] == "resync"
        assert await received(socket, 1) == [3]


async def test_a_newer_websocket_replaces_the_older(stage: Stage, alice: User) -> None:
    async with websocket(alice) as older:
        queue_id = (await older.receive_json())["queueId"]
        async with websocket(alice, f"?queueId={queue_id}") as newer:
            await newer.receive_json()
            assert (await older.receive()).type is WSMsgType.CLOSE
            assert older.close_code == REPLACED
            await stage.publish(UUID(queue_id), 1)
            assert await received(newer, 1) == [1]


async def test_websocket_closes_with_its_channel(stage: Stage, alice: User) -> None:
    async with websocket(alice) as socket:
        queue_id = (await socket.receive_json())["queueId"]
        await stage.until_read(UUID(queue_id))
        await alice.call("DELETE", f"/channels/{queue_id}")
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == CLOSED


async def test_websocket_closes_at_shutdown(stage: Stage, server: Server, alice: User) -> None:
    async with websocket(alice) as socket:
        await socket.receive_json()
        stopping = asyncio.create_task(server.stop())
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == 1001
        await stopping


async def test_websocket_takes_the_token_as_a_page_can_give_it(alice: User) -> None:
    protocols = (SUBPROTOCOL, f"bearer.{alice.token}")
    async with websocket(alice, headers={}, protocols=protocols) as socket:
        assert socket.protocol == SUBPROTOCOL
        assert (await socket.receive_json())["type"] == "websocketConnected"
    async with websocket(alice, f"?access_token={alice.token}", headers={}) as socket:
        assert (await socket.receive_json())["type"] == "websocketConnected"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["1.6.2"], "1.6.2"), (["parley", "1.6.2"], "parley"), (["1.3"], "1.3")],
)
async def test_the_published_clients_version_is_answered(
    alice: User, offered: list[str], chosen: str
) -> None:
    """A browser that offered something closes a socket to which nothing is answered (WHATWG WebSockets, section 3)."""
    async with websocket(alice, protocols=offered) as socket:
        assert socket.protocol == chosen
        assert (await socket.receive_json())["type"] == "websocketConnected"


@pytest.mark.parametrize("offered", ["mqtt", "1.6.2.4.5", "v1, graphql-ws"])
async def test_other_subprotocols_are_refused_in_words(alice: User, offered: str) -> None:
    headers = {
        **alice.headers,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
        "Sec-WebSocket-Protocol": offered,
    }
    async with alice.session.get(f"{alice.url}/events", headers=headers) as response:
        assert response.status == 400
        assert "parley" in (await response.json())["message"]


@pytest.mark.parametrize(
    ("query", "status"), [("?queueId=x", 404), (f"?queueId={UUID(int=1)}", 404), ("?after=x", 101)]
)
async def test_websocket_refuses_before_the_handshake(alice: User, query: str, status: int) -> None:
    if status == 101:
        async with websocket(alice, query) as socket:
            assert (await socket.receive_json())["type"] == "websocketConnected"
        return
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await websocket(alice, query)
    assert refused.value.status == status


async def test_websocket_without_a_token_is_refused(alice: User) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await websocket(alice, headers={})
    assert refused.value.status == 401


async def test_a_plain_get_is_told_what_the_address_is_for(alice: User) -> None:
    status, body = await alice.call("GET", "/events")
    assert (status, body["code"]) == (400, "no_websocket")


async def _acknowledged(stage: Stage, queue_id: UUID, position: int) -> bool:
    key = f"parley:channel:{queue_id}"
    return await stage.rig.link.lane.call(b"HGET", key, b"acked") == b"%d" % position
