"""How often a request goes to PostgreSQL and back: with a database some way off, that is what it takes."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from rig_meetings import Answer, Api, Person, running_api, running_worker

MOST = {
    # what is asked: round trips
    "join": 9,
    "join again from another channel": 9,
    "leave": 9,
    "wait": 9,
    "let in": 9,
    "get": 3,
    "list": 3,
}


class Wire:
    """Passes bytes on, and counts each time that the client speaks after the server did."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.trips = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_unix_connection(self._server)
        spoken = ["server"]
        await asyncio.gather(
            self._pass(reader, outer, "client", spoken), self._pass(inner, writer, "server", spoken)
        )

    async def _pass(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        who: str,
        spoken: list[str],
    ) -> None:
        while data := await source.read(1 << 16):
            if who == "client" and spoken[0] == "server":
                self.trips += 1
            spoken[0] = who
            target.write(data)
        target.close()


@asynccontextmanager
async def wired(database_url: str) -> AsyncIterator[tuple[Wire, str]]:
    directory = parse_qs(urlsplit(database_url).query)["host"][0]
    wire = Wire(f"{directory}/.s.PGSQL.5432")
    with tempfile.TemporaryDirectory(prefix="parley-") as path:
        server = await asyncio.start_unix_server(wire.handle, f"{path}/.s.PGSQL.5432")
        try:
            yield wire, database_url.replace(quote(directory, safe=""), quote(path, safe=""))
        finally:
            server.close()


async def trips_of(wire: Wire, call: Awaitable[Answer]) -> int:
    before = wire.trips
    answer = await call
    assert answer.status in (200, 204), answer
    await asyncio.sleep(0.05)
    return wire.trips - before


async def joining(api: Api) -> tuple[Person, Person, str, str]:
    alice, bob = await api.people("alice", "bob")
    path = await alice.started_meeting()
    scheduled = await alice.started_meeting("scheduled")
    await alice.put(f"{path}/members/{bob.id}", {"userType": "registered"})
    await alice.join(path)
    await alice.join(scheduled)
    return alice, bob, path, scheduled


async def test_what_a_request_costs(database_url: str, redis_url: str, tmp_path: Path) -> None:
    """Once each statement is prepared; the least of some times, since the outbox is swept every second."""
    async with (
        wired(database_url) as (wire, url),
        running_worker(redis_url),
        running_api(url, redis_url, tmp_path, database_connections=1, sweep_interval=60.0) as api,
    ):
        alice, bob, path, scheduled = await joining(api)
        found: dict[str, int] = {}

        async def ask(name: str, call: Awaitable[Answer]) -> None:
            found[name] = min(found.get(name, 99), await trips_of(wire, call))

        for _ in range(4):
            await ask("join", bob.try_join(path))
            other = await bob.open_channel()
            await ask("join again from another channel", bob.try_join(path, queue_id=other))
            await ask("get", bob.get(path))
            await ask("list", bob.get("/meetings"))
            await ask("leave", bob.post(f"{path}/leave"))
            await ask("wait", bob.try_join(scheduled))
            await ask("let in", alice.post(f"{scheduled}/queue/{bob.id}", {}))
            await alice.post(f"{scheduled}/queue/{bob.id}", {"status": "REJECTED"})
        assert found.keys() == MOST.keys()
        assert {name: count for name, count in found.items() if count > MOST[name]} == {}
