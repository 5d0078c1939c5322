"""The job queue in PostgreSQL. All times are the database's, so that no two clocks are compared."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

JobState = Literal["waiting", "running", "done", "given_up"]

_ORDER_CLASS = 0x6A6F  # "jo", of advisory locks

# Who adds to a key waits for whoever adds to it in another transaction: then ids are in the order of commits.
_LOCK_KEY = "select pg_advisory_xact_lock($1, hashtext($2))"
_ADD = """
insert into jobs (kind, payload, order_key, idempotence_key, state, due_at)
values ($1, $2, $3, $4, 'waiting', now() + make_interval(secs => $5))
on conflict (idempotence_key) do nothing
returning id
"""
# A running one whose lease is over was dropped by its runner. Of one key only the first that is not over.
_TAKE = """
with taken as (
    select id from jobs as job
    where kind = any($1)
      and (state = 'waiting' and due_at <= now() or state = 'running' and leased_until < now())
      and (order_key is null or not exists (
          select from jobs as earlier
          where earlier.order_key = job.order_key and earlier.id < job.id
            and earlier.state in ('waiting', 'running')))
    order by due_at, id limit $2
    for update skip locked
)
update jobs
set state = 'running', runner = $3, attempts = attempts + 1, progress = 0,
    leased_until = now() + make_interval(secs => $4)
from taken where jobs.id = taken.id
returning jobs.id, kind, payload, attempts, created_at
"""
_RENEW = """
update jobs set leased_until = now() + make_interval(secs => $2), progress = given.progress
from unnest($3::bigint[], $4::integer[], $5::real[]) as given(id, attempts, progress)
where jobs.id = given.id and jobs.attempts = given.attempts and runner = $1 and state = 'running'
returning jobs.id
"""
_MINE = "id = $1 and attempts = $2 and runner = $3 and state = 'running'"
_FINISH = f"""
update jobs set state = 'done', ended_at = now(), leased_until = null, runner = null, progress = 1, failure = null
where {_MINE}
"""
_POSTPONE = f"""
update jobs set state = 'waiting', due_at = now() + make_interval(secs => $4), failure = $5,
    leased_until = null, runner = null
where {_MINE}
"""
_GIVE_UP = f"""
update jobs set state = 'given_up', ended_at = now(), failure = $4, leased_until = null, runner = null
where {_MINE}
"""
# Nothing went wrong with the job: the attempt does not count.
_HAND_BACK = f"""
update jobs set state = 'waiting', attempts = attempts - 1, due_at = now(), leased_until = null, runner = null
where {_MINE}
"""
_LIST = """
select id, kind, order_key, state, attempts, created_at, due_at, progress, failure, ended_at from jobs
where ($1::text is null or state = $1) and ($2::text is null or kind = $2)
order by id desc limit $3
"""
_FIGURES = """
select kind, state, count(*) as count, extract(epoch from now() - min(created_at))::float as oldest
from jobs where state <> 'done' group by kind, state
"""


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """`order_key`: jobs of one key are done one after the other. `idempotence_key`: asked for twice, done once."""

    kind: str
    payload: bytes
    order_key: str | None = None
    idempotence_key: str | None = None
    delay: float = 0.0
    """Seconds from now until it is due."""


class TakenJob(msgspec.Struct, frozen=True, kw_only=True):
    """One that this runner holds a lease of. `attempts` counts this one."""

    id: int
    kind: str
    payload: bytes
    attempts: int
    created_at: datetime


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """What operators see of a job."""

    id: int
    kind: str
    order_key: str | None
    state: JobState
    attempts: int
    created_at: datetime
    due_at: datetime
    progress: float
    failure: str | None
    ended_at: datetime | None


class JobFigure(msgspec.Struct, frozen=True, kw_only=True):
    """`oldest`: seconds since the oldest of them was asked for."""

    kind: str
    state: JobState
    count: int
    oldest: float


# --- filling ----------------------------------------------------------------------------------


async def add(conn: Connection, job: NewJob) -> int | None:
    """Ask for a job inside the transaction of the change that wants it. None when its idempotence key is taken.

    Lock order: what the change is about first, then the order key.
    """
    if job.order_key is not None:
        await conn.execute(_LOCK_KEY, _ORDER_CLASS, job.order_key)
    given: int | None = await conn.fetchval(
        _ADD, job.kind, job.payload, job.order_key, job.idempotence_key, job.delay
    )
    return given


# --- running ----------------------------------------------------------------------------------


async def take(
    conn: Connection, runner: UUID, kinds: Collection[str], *, most: int, lease: float
) -> list[TakenJob]:
    """Up to `most` due jobs, for `lease` seconds nobody else's."""
    rows = await conn.fetch(_TAKE, list(kinds), most, runner, lease)
    return [msgspec.convert(dict(row), TakenJob) for row in rows]


async def renew(
    conn: Connection, runner: UUID, progress: Mapping[TakenJob, float], *, lease: float
) -> set[int]:
    """Hold on to jobs, and say how far they are. Which are still this runner's."""
    jobs = list(progress)
    rows = await conn.fetch(
        _RENEW,
        runner,
        lease,
        [job.id for job in jobs],
        [job.attempts for job in jobs],
        [progress[job] for job in jobs],
    )
    return {row["id"] for row in rows}


async def finish(conn: Connection, runner: UUID, job: TakenJob) -> bool:
    """False when it is not this runner's any more; so are the next three."""
    return _one(await conn.execute(_FINISH, job.id, job.attempts, runner))


async def postpone(
    conn: Connection, runner: UUID, job: TakenJob, *, delay: float, failure: str
) -> bool:
    return _one(await conn.execute(_POSTPONE, job.id, job.attempts, runner, delay, failure))


async def give_up(conn: Connection, runner: UUID, job: TakenJob, failure: str) -> bool:
    return _one(await conn.execute(_GIVE_UP, job.id, job.attempts, runner, failure))


async def hand_back(conn: Connection, runner: UUID, job: TakenJob) -> bool:
    return _one(await conn.execute(_HAND_BACK, job.id, job.attempts, runner))


# --- for operators ----------------------------------------------------------------------------


async def listed(
    conn: Connection, *, state: JobState | None = None, kind: str | None = None, most: int = 100
) -> list[JobRow]:
    """The newest first."""
    rows = await conn.fetch(_LIST, state, kind, most)
    return [msgspec.convert(dict(row), JobRow) for row in rows]


async def retry(conn: Connection, ids: Sequence[int]) -> int:
    """Have jobs that were given up tried anew, from their first attempt. How many there were."""
    return _count(
        await conn.execute(
            """update jobs set state = 'waiting', attempts = 0, due_at = now(), ended_at = null
               where id = any($1) and state = 'given_up'""",
            ids,
        )
    )


async def drop(conn: Connection, ids: Sequence[int]) -> int:
    """Forget jobs that nobody is at. How many there were."""
    return _count(
        await conn.execute("delete from jobs where id = any($1) and state <> 'running'", ids)
    )


async def forget_ended(conn: Connection, *, after: float) -> int:
    """Delete what was done or given up so many seconds ago. Until then its idempotence key holds."""
    return _count(
        await conn.execute(
            """delete from jobs where state in ('done', 'given_up')
               and ended_at < now() - make_interval(secs => $1)""",
            after,
        )
    )


async def figures(conn: Connection) -> list[JobFigure]:
    rows = await conn.fetch(_FIGURES)
    return [msgspec.convert(dict(row), JobFigure) for row in rows]


def _count(status: object) -> int:
    return int(str(status).rpartition(" ")[2])


def _one(status: object) -> bool:
    return _count(status) == 1
