"""The job queue on a real PostgreSQL: leases, order, retries, kills."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from job_storm import TABLE, ask_for, storm, verdict

from conference.services.jobs import Attempt, JobFailed, JobHopeless, JobKind, JobRunner
from conference.storage import jobs
from conference.storage.jobs import JobRow

SOON = 10.0


class Letter(msgspec.Struct):
    to: str


class Desk:
    """Writes letters; what goes wrong is told it beforehand."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.written: list[str] = []
        self.troubles: list[Exception] = []
        self.open = asyncio.Event()
        self.open.set()
        self.attempts: list[Attempt] = []

    async def write(self, letter: Letter, attempt: Attempt) -> None:
        self.begun.append(letter.to)
        self.attempts.append(attempt)
        await self.open.wait()
        if self.troubles:
            raise self.troubles.pop(0)
        self.written.append(letter.to)


def letters(
    desk: Desk, *, delays: tuple[float, ...] = (0.0, 0.0), label: str = "any"
) -> JobKind[Letter]:
    return JobKind("letter", Letter, desk.write, delays=delays, label=label)


@asynccontextmanager
async def working(
    pool: asyncpg.Pool, *kinds: JobKind[Letter], lease: float = 30.0, at_once: int = 4
) -> AsyncIterator[JobRunner]:
    runner = JobRunner(pool, kinds, uuid4(), lease=lease, at_once=at_once)
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        task.cancel()
        await asyncio.wait({task})


async def ask(pool: asyncpg.Pool, kind: JobKind[Letter], to: str, **how: object) -> int | None:
    async with pool.acquire() as conn, conn.transaction():
        return await kind.ask(conn, Letter(to=to), **how)  # type: ignore[arg-type]


async def row(pool: asyncpg.Pool, job: int | None) -> JobRow:
    async with pool.acquire() as conn:
        return next(found for found in await jobs.listed(conn) if found.id == job)


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not what():
            await asyncio.sleep(0.01)


async def until_state(pool: asyncpg.Pool, job: int | None, state: str) -> JobRow:
    async with asyncio.timeout(SOON):
        while (found := await row(pool, job)).state != state:
            await asyncio.sleep(0.01)
    return found


async def test_a_job_is_done_once_its_change_is_committed(pool: asyncpg.Pool) -> None:
    desk = Desk()
    kind = letters(desk)
    async with working(pool, kind):
        async with pool.acquire() as conn:
            change = conn.transaction()
            await change.start()
            await kind.ask(conn, Letter(to="alice"))
            await change.rollback()
        job = await ask(pool, kind, "bob")
        await until_state(pool, job, "done")
    assert desk.written == ["bob"]


async def test_a_failure_is_tried_again_and_shown(pool: asyncpg.Pool) -> None:
    desk = Desk()
    desk.troubles = [JobFailed("the mail server is away"), ValueError("oops")]
    kind = letters(desk)
    async with working(pool, kind):
        job = await ask(pool, kind, "alice")
        found = await until_state(pool, job, "done")
    assert desk.written == ["alice"]
    assert (found.attempts, found.failure) == (3, None)


@pytest.mark.parametrize(
    ("troubles", "attempts"),
    [([JobFailed("no answer")] * 9, 3), ([JobHopeless("no such address")], 1)],
)
async def test_what_does_not_work_out_is_given_up_and_can_be_tried_anew(
    pool: asyncpg.Pool, troubles: list[Exception], attempts: int
) -> None:
    desk = Desk()
    desk.troubles = list(troubles)
    kind = letters(desk)
    async with working(pool, kind):
        job = await ask(pool, kind, "alice")
        found = await until_state(pool, job, "given_up")
        assert (found.attempts, found.failure) == (attempts, str(troubles[0]))
        desk.troubles = []
        async with pool.acquire() as conn:
            assert await jobs.retry(conn, [found.id]) == 1
        await until_state(pool, job, "done")


async def test_jobs_of_one_key_are_done_in_their_order_and_others_meanwhile(
    pool: asyncpg.Pool,
) -> None:
    desk = Desk()
    desk.open.clear()
    kind = letters(desk)
    for name in ("a1", "a2", "b1", "b2", "c"):
        await ask(pool, kind, name, order_key=name[0] if len(name) == 2 else None)
    async with working(pool, kind, at_once=10):
        await until(lambda: len(desk.begun) == 3)
        assert sorted(desk.begun) == ["a1", "b1", "c"]
        desk.open.set()
        await until(lambda: len(desk.written) == 5)
    assert [name for name in desk.written if name[0] == "a"] == ["a1", "a2"]


async def test_a_job_that_waits_for_its_next_attempt_holds_up_its_key_and_one_given_up_does_not(
    pool: asyncpg.Pool,
) -> None:
    desk = Desk()
    desk.troubles = [JobFailed("later")]
    kind = letters(desk, delays=(600.0,))
    first = await ask(pool, kind, "a1", order_key="a")
    second = await ask(pool, kind, "a2", order_key="a")
    last = await ask(pool, kind, "b")
    async with working(pool, kind, at_once=1):
        await until_state(pool, last, "done")
        assert (await row(pool, first)).failure == "later"
        assert (await row(pool, second)).attempts == 0
        await pool.execute("update jobs set due_at = now() where id = $1", first)
        desk.troubles = [JobHopeless("never")]
        await until_state(pool, first, "given_up")
        await until_state(pool, second, "done")


async def test_one_idempotence_key_is_one_job_even_after_it_was_done(pool: asyncpg.Pool) -> None:
    desk = Desk()
    kind = letters(desk)
    async with working(pool, kind):
        job = await ask(pool, kind, "alice", idempotence_key="invitation 1")
        assert await ask(pool, kind, "alice", idempotence_key="invitation 1") is None
        await until_state(pool, job, "done")
        assert await ask(pool, kind, "alice", idempotence_key="invitation 1") is None
        async with pool.acquire() as conn:
            assert await jobs.forget_ended(conn, after=0.0) == 1
        assert await ask(pool, kind, "alice", idempotence_key="invitation 1") is not None


async def test_only_processes_that_can_take_a_job(pool: asyncpg.Pool) -> None:
    desk = Desk()
    kind = letters(desk, label="muxing")
    plain = JobKind("other", Letter, desk.write)
    job = await ask(pool, kind, "alice")
    async with working(pool, kind, plain):
        await until_state(pool, await ask(pool, plain, "bob"), "done")
        assert (await row(pool, job)).state == "waiting"


async def test_a_long_job_keeps_its_lease_and_tells_how_far_it_is(pool: asyncpg.Pool) -> None:
    desk = Desk()
    desk.open.clear()
    kind = letters(desk)
    job = await ask(pool, kind, "alice")
    async with working(pool, kind, lease=0.6), working(pool, kind, lease=0.6):
        await until(lambda: desk.begun == ["alice"])
        desk.attempts[0].progress = 0.5
        async with asyncio.timeout(SOON):
            while (await row(pool, job)).progress != 0.5:
                await asyncio.sleep(0.05)
        taken_at = await pool.fetchval("select leased_until from jobs")
        async with asyncio.timeout(SOON):
            while await pool.fetchval("select leased_until from jobs") < taken_at + timedelta(
                seconds=0.6
            ):
                await asyncio.sleep(0.05)
        desk.open.set()
        await until_state(pool, job, "done")
    assert desk.begun == ["alice"]


async def test_a_runner_that_lost_its_lease_stops_and_marks_nothing(pool: asyncpg.Pool) -> None:
    desk = Desk()
    desk.open.clear()
    kind = letters(desk)
    job = await ask(pool, kind, "alice")
    async with working(pool, kind, lease=0.6):
        await until(lambda: desk.begun == ["alice"])
        await pool.execute("update jobs set runner = $1, attempts = 7", uuid4())
        desk.open.set()  # it ends before, or is stopped by, its next renewal
        await asyncio.sleep(0)
    assert (await row(pool, job)).state == "running"


async def test_a_runner_that_stops_hands_back_what_it_was_at(pool: asyncpg.Pool) -> None:
    desk = Desk()
    desk.open.clear()
    kind = letters(desk)
    job = await ask(pool, kind, "alice")
    async with working(pool, kind):
        await until(lambda: desk.begun == ["alice"])
    found = await row(pool, job)
    assert (found.state, found.attempts) == ("waiting", 0)


async def test_a_job_that_kills_whoever_takes_it_is_given_up(pool: asyncpg.Pool) -> None:
    desk = Desk()
    kind = letters(desk)
    job = await ask(pool, kind, "alice")
    await pool.execute(
        "update jobs set state = 'running', attempts = 3, leased_until = now() - interval '1 second'"
    )
    async with working(pool, kind):
        found = await until_state(pool, job, "given_up")
    assert desk.begun == []
    assert found.failure == "whoever was at it died each time"


async def test_a_payload_of_another_version_is_kept_and_named(pool: asyncpg.Pool) -> None:
    kind = letters(Desk(), delays=(600.0,))
    async with pool.acquire() as conn:
        job = await jobs.add(conn, jobs.NewJob(kind="letter", payload=b'{"address": 1}'))
    async with working(pool, kind), asyncio.timeout(SOON):
        while (found := await row(pool, job)).failure is None:
            await asyncio.sleep(0.01)
    assert found.state == "waiting"
    assert found.failure.startswith("its payload can't be read")


async def test_figures_count_what_is_not_done_and_how_old_it_is(pool: asyncpg.Pool) -> None:
    kind = letters(Desk())
    for name in ("alice", "bob"):
        await ask(pool, kind, name)
    await pool.execute("update jobs set created_at = now() - interval '1 minute' where id = 1")
    async with pool.acquire() as conn:
        [figure] = await jobs.figures(conn)
    assert (figure.kind, figure.state, figure.count) == ("letter", "waiting", 2)
    assert 60 <= figure.oldest < 70


async def test_runners_that_are_killed_lose_nothing_and_keep_the_order(
    pool: asyncpg.Pool, database_url: str
) -> None:
    """A short one; scripts/soak-jobs is the long one."""
    await pool.execute(TABLE)
    await ask_for(pool, 300, keys=20, takes=0.15)
    kills = await storm(pool, database_url, runners=3, seconds=4.0, rng=random.Random(1))
    _, unordered = await verdict(pool, 300)
    assert kills > 3
    assert unordered == 0


async def test_operators_see_jobs_try_them_anew_and_forget_them(
    pool: asyncpg.Pool, database_url: str, tmp_path: Path
) -> None:
    desk = Desk()
    desk.troubles = [JobHopeless("no such address")]
    kind = letters(desk)
    async with working(pool, kind):
        job = await ask(pool, kind, "alice")
        await until_state(pool, job, "given_up")
    command = Command(database_url, tmp_path)
    [shown] = json.loads(await command("list", "--state", "given_up", "--json"))
    assert (shown["id"], shown["kind"], shown["failure"]) == (job, "letter", "no such address")
    assert await command("retry", str(job)) == "1 of 1 tried anew\n"
    assert (await row(pool, job)).state == "waiting"
    assert await command("drop", str(job)) == "1 of 1 dropped\n"
    assert await command("list") == ""


class Command:
    """`parley jobs`."""

    def __init__(self, database_url: str, data_dir: Path) -> None:
        self._environment = {
            **os.environ,
            "PARLEY_DATABASE_URL": database_url,
            "PARLEY_DATA_DIR": str(data_dir),
        }

    async def __call__(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "conference", "jobs", *arguments),
            stdout=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0
        return out.decode()
