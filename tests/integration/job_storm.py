"""Runners that are killed at random while they work through jobs, and what must be true afterwards."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
from job_process import Note, noting

from conference.machine.embedded import PostgresServer
from conference.storage.database import open_pool
from conference.storage.migrate import migrate

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TABLE = "create table done (id bigserial, number int, key text, job bigint, attempt int)"


async def ask_for(pool: asyncpg.Pool, count: int, *, keys: int, takes: float) -> None:
    """`count` jobs, a third of them without an order."""
    kind = noting(pool)
    async with pool.acquire() as conn, conn.transaction():
        for number in range(count):
            key = "" if number % 3 == 0 else f"key {number % keys}"
            await kind.ask(conn, Note(number=number, key=key, takes=takes), order_key=key or None)


async def storm(
    pool: asyncpg.Pool, database_url: str, *, runners: int, seconds: float, rng: random.Random
) -> int:
    """Kill runners for so long, or until all is done, then let one work in peace until all is. How many were killed."""
    processes = [await _start(database_url) for _ in range(runners)]
    kills = 0
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until and await _left(pool):
            await asyncio.sleep(rng.uniform(0.05, 0.4))
            victim = rng.randrange(runners)
            processes[victim].kill()
            await processes[victim].wait()
            kills += 1
            processes[victim] = await _start(database_url)
        async with asyncio.timeout(60):
            while await _left(pool):
                await asyncio.sleep(0.1)
    finally:
        for process in processes:
            process.kill()
            await process.wait()
    return kills


async def verdict(pool: asyncpg.Pool, count: int) -> tuple[int, int]:
    """Jobs done more than once, and effects out of order, which must be none; raises when one was lost."""
    done = await pool.fetchval("select count(distinct number) from done")
    assert done == count, f"{count - done} of {count} jobs were lost"
    left = await pool.fetchval("select count(*) from jobs where state <> 'done'")
    assert left == 0
    # A job is done again only if its first run was not marked: attempts of one job differ.
    same = await pool.fetchval(
        "select count(*) from (select 1 from done group by job, attempt having count(*) > 1) as twice"
    )
    assert same == 0, "one attempt had its effect twice"
    unordered: int = await pool.fetchval(
        """select count(*) from done as one join done as other using (key)
           where key <> '' and one.number < other.number and one.id > other.id
             and not exists (select from done as first where first.number = one.number and first.id < other.id)"""
    )
    again: int = await pool.fetchval("select count(*) - count(distinct number) from done")
    return again, unordered


async def _left(pool: asyncpg.Pool) -> bool:
    left: bool = await pool.fetchval("select exists (select from jobs where state <> 'done')")
    return left


async def _start(database_url: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "job_process.py"),
        database_url,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
    )
    assert process.stdout
    await asyncio.wait_for(process.stdout.readline(), 20)
    return process


async def _soak(count: int, seconds: float) -> None:
    """On a database of its own."""
    with tempfile.TemporaryDirectory(prefix="parley-") as folder:
        server = PostgresServer(Path(folder), durable=False)
        server.start()
        try:
            await migrate(server.url)
            pool = await open_pool(server.url)
            await pool.execute(TABLE)
            await ask_for(pool, count, keys=count // 15, takes=0.12)
            began = time.monotonic()
            kills = await storm(pool, server.url, runners=3, seconds=seconds, rng=random.Random())
            again, unordered = await verdict(pool, count)
            print(
                f"{count} jobs done in {time.monotonic() - began:.0f} s, {kills} kills: none lost, "
                f"{again} done again after a kill, {unordered} out of order"
            )
            await pool.close()
        finally:
            server.stop()


if __name__ == "__main__":
    asyncio.run(_soak(int(sys.argv[1]) if sys.argv[1:] else 10_000, 60.0))
