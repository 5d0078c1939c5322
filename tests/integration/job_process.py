"""Run as a process of its own, to be killed: a runner whose jobs write down that they were done.

Arguments: database URL. Each job inserts a row in a transaction of its own, then goes on for a while, so that kills
fall before the effect, between the effect and the mark, and after it.
"""

from __future__ import annotations

import asyncio
import sys
from uuid import uuid4

import asyncpg
import msgspec

from conference.services.jobs import Attempt, JobKind, JobRunner
from conference.storage.database import open_pool

LEASE = 1.5


class Note(msgspec.Struct):
    number: int
    key: str
    takes: float
    """Seconds after its effect until it is over."""


def noting(pool: asyncpg.Pool) -> JobKind[Note]:
    async def note(wanted: Note, attempt: Attempt) -> None:
        await pool.execute(
            "insert into done (number, key, job, attempt) values ($1, $2, $3, $4)",
            wanted.number,
            wanted.key,
            attempt.id,
            attempt.number,
        )
        await asyncio.sleep(wanted.takes)

    return JobKind("note", Note, note, delays=(0.1,) * 50)


async def main(database_url: str) -> None:
    pool = await open_pool(database_url)
    print("ready", flush=True)
    await JobRunner(pool, [noting(pool)], uuid4(), at_once=8, lease=LEASE).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
