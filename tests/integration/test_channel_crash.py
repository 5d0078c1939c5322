"""SIGKILL at the worst moments, to real processes: nothing is lost, nothing comes twice, order is kept."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from channel_rig import MEETING, SOON, Rig, joined, number, until

from conference.bus.channels import Batch
from conference.bus.poll_terms import plain

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
END = 10**6


class Victim:
    """A process of channel_process.py."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.committed: list[int] = []

    async def line(self) -> str:
        assert self._process.stdout
        line = (await asyncio.wait_for(self._process.stdout.readline(), SOON)).decode().strip()
        if line.isdigit():
            self.committed.append(int(line))
        return line

    async def until_waiting(self) -> None:
        while await self.line() != "waiting":
            pass

    async def kill(self) -> None:
        """And read what it still said."""
        self._process.kill()
        while await self.line():
            pass
        await asyncio.wait_for(self._process.wait(), SOON)


@asynccontextmanager
async def victim(
    database_url: str, redis_url: str, queue: UUID, first: int, stop: str
) -> AsyncIterator[Victim]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "channel_process.py"),
        *[database_url, redis_url, str(queue), str(first), stop],
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
    )
    try:
        yield Victim(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def rig(pool: asyncpg.Pool, redis_url: str) -> AsyncIterator[Rig]:
    async with Rig(pool, redis_url) as rig:
        yield rig


@pytest.mark.parametrize("stop", ["committed", "appended"])
async def test_a_kill_between_commit_and_the_end_of_publishing(
    rig: Rig, database_url: str, redis_url: str, stop: str
) -> None:
    queue = await rig.service.open(uuid4())
    async with victim(database_url, redis_url, queue, 1, stop) as process:
        await process.until_waiting()
        await process.kill()
    assert await rig.outbox_size() == 1
    assert await rig.read(queue) == ([] if stop == "committed" else [1])
    await rig.age_outbox()
    await until(lambda: _swept(rig))  # the killed process's locks go once its connection is gone
    await rig.change(joined(2, queues=(queue,)))
    await rig.relay.flush(MEETING)
    if stop == "committed":
        assert await rig.read(queue, ack=2) == [1, 2]
    else:
        assert await rig.read(queue) == [1]
        assert await rig.read(queue, ack=2) == [2]


@pytest.mark.parametrize("run", range(3))
async def test_kills_at_any_moment_under_load(
    rig: Rig, database_url: str, redis_url: str, run: int
) -> None:
    """Each process is killed after some commits, wherever it is then; a client polls all the while."""
    queue = await rig.service.open(uuid4())
    client = asyncio.create_task(_read_to_the_end(rig, queue))
    committed: list[int] = []
    for kill in range(3):
        first = committed[-1] + 1 if committed else 1
        async with victim(database_url, redis_url, queue, first, "nowhere") as process:
            while len(process.committed) < 7 + 5 * kill + run:
                await process.line()
            await process.kill()
        committed += process.committed
        newest = await _newest(rig)
        committed = list(range(1, max(newest, committed[-1]) + 1))
        await rig.age_outbox()
        await until(lambda: _swept(rig))
    await rig.change(joined(END, queues=(queue,)))
    await rig.relay.flush(MEETING)
    assert await asyncio.wait_for(client, SOON) == committed


async def _swept(rig: Rig) -> bool:
    await rig.relay.sweep()
    return await rig.outbox_size() == 0


async def _newest(rig: Rig) -> int:
    """The number of a change that was committed just before the kill, and not told of."""
    payload = await rig.pool.fetchval("select payload from outbox order by id desc limit 1")
    if payload is None:
        return 0
    return number(payload)


async def _read_to_the_end(rig: Rig, queue: UUID) -> list[int]:
    """As a client does, until the last event."""
    found: list[int] = []
    for ack in itertools.count(1):
        batch = await rig.bus.poll(queue, ack, plain(100))
        assert isinstance(batch, Batch)
        found += [number(event) for event in batch.events]
        if found[-1:] == [END]:
            return found[:-1]
    raise AssertionError
