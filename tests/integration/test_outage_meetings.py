"""PostgreSQL or Redis goes away and comes back, under a running application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from rig_meetings import WITHIN, Api, kinds, running_api, running_worker

from conference.machine.embedded import PostgresServer, ValkeyServer
from conference.storage.migrate import migrate

Make = Callable[[], PostgresServer]
MakeValkey = Callable[[], ValkeyServer]


async def ready(api: Api, expected: int) -> dict[str, dict[str, object]]:
    async with asyncio.timeout(4 * WITHIN):
        while True:
            answer = await api.call("GET", "/readyz")
            if answer.status == expected:
                return answer.json
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_without_postgresql(private_postgres: Make, redis_url: str, tmp_path: Path) -> None:
    server = private_postgres()
    url = server.url_of("postgres")
    await migrate(url)
    async with (
        running_worker(redis_url),
        running_api(url, redis_url, tmp_path) as api,
    ):
        (alice,) = await api.people("alice")
        path = await alice.started_meeting()
        await alice.join(path)
        await alice.seen()
        await ready(api, 200)
        server.stop()
        answer = await alice.get(path)
        assert (answer.status, answer.code) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        for refused in (
            await alice.post(f"{path}/leave"),
            await alice.post("/meetings", {"name": "x", "meetingType": "permanent"}),
            await alice.put(f"{path}/audio", {"enabled": True}),
            await api.person("bob").get("/meetings"),
        ):
            assert refused.status == 503
        state = await ready(api, 503)
        assert state["database"]["ok"] is False
        assert state["redis"]["ok"] is True
        assert (await api.call("GET", "/healthz")).status == 200
        assert (await api.call("GET", "/metrics")).status == 200

        server.start()
        await ready(api, 200)
        participants = (await alice.state(path))["participants"]
        assert [item["userId"] for item in participants] == [alice.id]
        assert (await alice.post(f"{path}/leave")).status == 204
        assert kinds(await alice.seen()) == ["PARTICIPANT_LEFT", "STOPPED"]


@pytest.mark.slow
async def test_without_redis(private_valkey: MakeValkey, database_url: str, tmp_path: Path) -> None:
    """Changes are kept, and told once Redis is back."""
    server = private_valkey()
    async with running_api(database_url, server.url, tmp_path) as api:
        (alice,) = await api.people("alice")
        path = await alice.new_meeting()
        await alice.seen()
        server.kill()
        state = await ready(api, 503)
        assert state["redis"]["ok"] is False
        assert state["database"]["ok"] is True
        started = await alice.post(f"{path}/start")
        assert started.status == 200, "the truth is in PostgreSQL"
        assert (await alice.get(path)).json["active"] is True
        opened = await alice.post("/channels")
        assert opened.status == 503
        assert "Retry-After" in opened.headers

        server.start()
        async with running_worker(server.url):
            await ready(api, 200)
            event = await alice.until("MEETING_STARTED")
            assert event["startedAt"] == started.json["startedAt"]
