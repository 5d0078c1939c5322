"""Redis restarts, hangs, or comes back empty, under the whole application with clients on it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import aiohttp
import asyncpg
import pytest
from channel_api import SECRET, Server, Stage, User, numbers, stage_on
from channel_rig import joined, until

from conference.errors import Unavailable
from conference.machine.embedded import ValkeyServer

BOUND = 5.0
"""Seconds within which a request must be answered while Redis is away."""


@pytest.fixture
def valkey(private_valkey: Callable[[], ValkeyServer]) -> ValkeyServer:
    return private_valkey()


@pytest.fixture
async def stage(
    pool: asyncpg.Pool, database_url: str, valkey: ValkeyServer, tmp_path: Path
) -> AsyncIterator[Stage]:
    async with stage_on(pool, database_url, valkey.url, tmp_path) as stage:
        yield stage


@pytest.fixture
async def server(stage: Stage) -> Server:
    return await stage.server()


@pytest.fixture
async def alice(stage: Stage, server: Server) -> User:
    return await stage.user(server)


def restart(valkey: ValkeyServer, *, emptied: bool = False) -> None:
    valkey.kill()
    if emptied:
        shutil.rmtree(valkey._data)
    valkey.start()


async def publish_when_back(stage: Stage, queue_id: UUID, number: int) -> None:
    """By way of the outbox, as a change does."""
    await stage.rig.change(joined(number, queues=(queue_id,)))
    await stage.rig.age_outbox()

    async def swept() -> bool:
        await stage.rig.relay.flush(UUID(int=1))
        return await stage.rig.outbox_size() == 0

    await until(swept)


async def test_with_its_data_nothing_is_lost_and_parked_polls_survive(
    stage: Stage, alice: User, valkey: ValkeyServer
) -> None:
    unread, first_unread = await alice.open()
    parked_on, first = await alice.open()
    await stage.publish(unread, 1, 2)
    frozen = await alice.get(first_unread)
    await stage.publish(unread, 3)
    parked = asyncio.create_task(alice.get(first))
    await stage.until_read(parked_on)

    restart(valkey)

    await publish_when_back(stage, parked_on, 4)
    assert numbers((await parked)["events"]) == [4]
    assert await alice.get(first_unread) == frozen
    assert numbers((await alice.get(frozen["next"]))["events"]) == [3]


async def test_emptied_it_tells_parked_and_later_polls_to_resync(
    stage: Stage, alice: User, valkey: ValkeyServer
) -> None:
    queue_id, first = await alice.open()
    await stage.publish(queue_id, 1)
    second = (await alice.get(first))["next"]
    parked = asyncio.create_task(alice.get(second))
    await stage.until_read(queue_id)

    restart(valkey, emptied=True)

    resync = (await parked)["resync"]
    for old in (first, second, second.replace("ack=2", "ack=3")):
        assert (await alice.get(old))["resync"] == resync
    await publish_when_back(stage, queue_id, 2)
    assert numbers((await alice.get(resync))["events"]) == [2]


async def test_emptied_it_does_not_take_readers_for_silent(
    stage: Stage, alice: User, valkey: ValkeyServer
) -> None:
    queue_id, _ = await alice.open()
    assert await stage.rig.service.silent(3600) == []
    restart(valkey, emptied=True)
    await until(lambda: _answers(stage))
    assert queue_id not in await stage.rig.service.silent(1)

    async def noticed_at_last() -> bool:
        return queue_id in await stage.rig.service.silent(1)

    await until(noticed_at_last)


async def test_emptied_a_stream_resyncs_and_goes_on(
    stage: Stage, alice: User, valkey: ValkeyServer
) -> None:
    queue_id, _ = await alice.open()
    await stage.publish(queue_id, 1)
    address = f"{alice.url}/events?queueId={queue_id}"
    async with alice.session.ws_connect(address, headers=alice.headers) as socket:
        await socket.receive_json()
        assert numbers([await socket.receive_json()]) == [1]
        await stage.rig.link.lane.call(b"FLUSHALL")
        await stage.publish(queue_id, 2)  # for nobody: the channel is not there
        assert (await socket.receive_json())["type"] == "resync"  # found at the next touch
        await stage.publish(queue_id, 3)
        assert numbers([await socket.receive_json()]) == [3]


async def test_while_it_is_down_requests_are_refused_in_time_and_then_served(
    stage: Stage, alice: User, valkey: ValkeyServer
) -> None:
    _, first = await alice.open()
    valkey.kill()
    for method, path in [("POST", "/channels"), ("GET", first)] * 2:
        begun = time.monotonic()
        async with alice.session.request(
            method, alice.url + path, headers=alice.headers
        ) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
            assert (await response.json())["code"] == "unavailable"
        assert time.monotonic() - begun < BOUND
    valkey.start()
    await until(lambda: _opens(alice))
    assert (await alice.get(first + "&timeout=0.05"))["next"] == first.replace("ack=1", "ack=2")


async def test_while_it_hangs_nobody_hangs_with_it(
    stage: Stage, alice: User, valkey: ValkeyServer
) -> None:
    queue_id, first = await alice.open()
    parked = asyncio.create_task(alice.get(first))
    await stage.until_read(queue_id)
    assert valkey.pid
    os.kill(valkey.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(BOUND):
            assert (await alice.call("POST", "/channels"))[0] == 503
    finally:
        os.kill(valkey.pid, signal.SIGCONT)
    await publish_when_back(stage, queue_id, 1)
    body = await parked
    if not body["events"]:  # answered at the reconnection, with the same position
        await until(
            lambda: _opens(alice)
        )  # commands may take a moment longer than wakeups to be back
        body = await alice.get(body["next"])
    assert numbers(body["events"]) == [1]


async def test_a_poll_whose_time_ends_meanwhile_is_answered_with_its_position(
    stage: Stage, alice: User, valkey: ValkeyServer
) -> None:
    queue_id, first = await alice.open()
    parked = asyncio.create_task(alice.get(first + "&timeout=1.5"))
    await stage.until_read(queue_id)
    valkey.kill()
    body = await asyncio.wait_for(parked, 1.5 + BOUND)
    assert (body["events"], body["next"]) == ([], first)


async def test_flushed_scripts_come_back_by_themselves(stage: Stage, alice: User) -> None:
    queue_id, first = await alice.open()
    await stage.rig.link.lane.call(b"SCRIPT", b"FLUSH")
    await until(lambda: _opens(alice))
    await until(lambda: _publishes(stage, queue_id))
    assert 1 in numbers((await alice.get(first))["events"])


@pytest.mark.slow
async def test_a_real_api_process_killed_under_requests_loses_and_doubles_nothing(
    stage: Stage, alice: User, database_url: str, valkey: ValkeyServer
) -> None:
    """MEETING_CREATED goes out after the commit. Every meeting that exists is told once, whenever the kill came."""
    _, first = await alice.open()
    for _ in range(2):
        async with AsyncExitStack() as stack:
            process, url = await _api_process(stack, stage, database_url, valkey)
            victim = await stage.user_at(url)
            creating = [asyncio.create_task(_create_until_killed(victim)) for _ in range(4)]
            before = await _meetings(stage)
            await until(lambda before=before: _more_meetings(stage, before + 12))  # type: ignore[misc]
            process.kill()
            await process.wait()
            await asyncio.gather(*creating)
    await stage.rig.age_outbox()
    await until(lambda: _swept(stage))
    told: list[str] = []
    address = first
    while body := await alice.get(address + "&timeout=0.1"):
        if not body["events"]:
            break
        told += [event["meetingId"] for event in body["events"]]
        address = body["next"]
    there = [str(row["id"]) for row in await stage.rig.pool.fetch("select id from meetings")]
    assert sorted(told) == sorted(there)
    assert len(there) >= 24


async def _api_process(
    stack: AsyncExitStack, stage: Stage, database_url: str, valkey: ValkeyServer
) -> tuple[asyncio.subprocess.Process, str]:
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "conference", "api"],
        env={
            **os.environ,
            "PARLEY_HTTP_PORT": str(port),
            "PARLEY_DATABASE_URL": database_url,
            "PARLEY_REDIS_URL": valkey.url,
            "PARLEY_JWT_SECRET": SECRET,
            "PARLEY_DATA_DIR": str(stage.settings.data_dir),
            "PARLEY_LOG_LEVEL": "warning",
        },
        cwd=Path(__file__).parent.parent.parent,
    )
    stack.push_async_callback(_end, process)
    url = f"http://127.0.0.1:{port}"
    await until(lambda: _listens(url), 30)
    return process, url


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


async def _create_until_killed(user: User) -> None:
    body = {"name": "m", "meetingType": "permanent"}
    while True:
        try:
            async with user.session.post(
                user.url + "/meetings", json=body, headers=user.headers
            ) as response:
                assert response.status == 200
                await response.read()
        except aiohttp.ClientError:
            return


async def _meetings(stage: Stage) -> int:
    count: int = await stage.rig.pool.fetchval("select count(*) from meetings")
    return count


async def _more_meetings(stage: Stage, than: int) -> bool:
    return await _meetings(stage) >= than


async def _swept(stage: Stage) -> bool:
    await stage.rig.relay.sweep()
    return await stage.rig.outbox_size() == 0


async def _listens(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url + "/healthz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def _answers(stage: Stage) -> bool:
    try:
        await stage.rig.link.ping()
    except Unavailable:
        return False
    return True


async def _opens(user: User) -> bool:
    return (await user.call("POST", "/channels"))[0] == 201


async def _publishes(stage: Stage, queue_id: UUID) -> bool:
    try:
        await stage.publish(queue_id, 1)
    except Unavailable:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
