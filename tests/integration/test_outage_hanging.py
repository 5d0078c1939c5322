"""PostgreSQL that answers nothing, or that it can't: whoever asks hears so soon, and the log has no traceback."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from rig_meetings import Api, running_api

from conference.machine.embedded import PostgresServer
from conference.storage.migrate import migrate

Make = Callable[[], PostgresServer]
SOON = 5.0


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    """Its processes get no CPU: connections stay, and answer nothing."""
    assert server.pid
    pids = _with_children(server.pid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _with_children(pid: int) -> list[int]:
    found = [pid]
    for task in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(task.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found += _with_children(int(task.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("connections", [1, 10])
async def test_a_database_that_hangs_is_503_within_5_s(
    private_postgres: Make, redis_url: str, tmp_path: Path, connections: int
) -> None:
    server = private_postgres()
    url = server.url_of("postgres")
    await migrate(url)
    async with running_api(url, redis_url, tmp_path, database_connections=connections) as api:
        alice, bob = await api.people("alice", "bob")
        path = await alice.started_meeting()
        await alice.join(path)
        with stopped(server):
            calls = [
                lambda: alice.get(path),
                lambda: alice.post(f"{path}/stop"),
                lambda: alice.post("/meetings", {"name": "x", "meetingType": "permanent"}),
                lambda: alice.delete(f"/channels/{alice.queue_id}"),
                lambda: bob.get("/meetings"),
                lambda: api.person("carol").get("/meetings"),
            ]
            for _ in range(2):  # at first on connections that were there, then on new ones
                for status, retry, took in await asyncio.gather(
                    *(_timed(api, call) for call in calls * 4)
                ):
                    assert (status, retry) == (503, True)
                    assert took < SOON
            assert (await api.call("GET", "/healthz")).status == 200
        async with asyncio.timeout(30):
            while (await alice.get(path)).status != 200:
                await asyncio.sleep(0.1)
        assert (await alice.post(f"{path}/stop")).status == 200
        answers = await asyncio.gather(*(alice.get(path) for _ in range(30)))
        assert {answer.status for answer in answers} == {200}


async def _timed(api: Api, call: Callable) -> tuple[int, bool, float]:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    answer = await call()
    return answer.status, "Retry-After" in answer.headers, loop.time() - begun


@pytest.mark.parametrize(
    "code",
    [
        "08006",  # connection failure
        "25006",  # read-only: a standby
        "53000",
        "53100",  # disk full
        "53200",  # out of memory
        "53300",  # too many connections
        "53400",
        "55P03",  # lock not available
        "57014",  # cancelled
        "57P01",  # shutting down
        "57P03",  # starting
        "58030",  # I/O error
    ],
)
async def test_what_passes_is_503(
    database_url: str, redis_url: str, tmp_path: Path, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        f"""create function refuse() returns trigger language plpgsql as
            $$ begin raise exception using errcode = '{code}'; end $$;
            create trigger refuse before insert on meetings execute function refuse()"""
    )
    await connection.close()
    async with running_api(database_url, redis_url, tmp_path) as api:
        alice = api.person("alice")
        refused = await alice.post("/meetings", {"name": "x", "meetingType": "permanent"})
        assert (refused.status, refused.code) == (503, "unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await alice.get("/meetings")).json == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
