"""`parley jobs`: does what waits in the job queue, and shows it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg
import msgspec
from cyclopts import App

from conference.commands.servers import connected
from conference.storage import jobs as queue
from conference.storage.jobs import JobState
from config.settings import load

T = TypeVar("T")

jobs = App(name="jobs", help="Do what waits in the job queue (mails, webhooks, files), or show it.")


@jobs.command(name="list")
def list_jobs(
    *, state: JobState | None = None, kind: str | None = None, most: int = 100, json: bool = False
) -> int:
    """List jobs, the newest first: id, kind, state, attempts, when asked for, progress, what went wrong.

    Parameters
    ----------
    state
        Only those that are waiting, running, done or given_up.
    kind
        Only those of a kind.
    most
        How many at the most.
    json
        One JSON array instead of lines.
    """
    rows = _ask(lambda conn: queue.listed(conn, state=state, kind=kind, most=most))
    if json:
        print(msgspec.json.encode(rows).decode())
        return 0
    for row in rows:
        print(
            row.id,
            row.kind,
            row.state,
            row.attempts,
            row.created_at.isoformat(timespec="seconds"),
            f"{row.progress:.0%}",
            row.failure or "-",
            sep="\t",
        )
    return 0


@jobs.command
def retry(ids: Sequence[int]) -> int:
    """Try jobs anew that were given up.

    Parameters
    ----------
    ids
        As `parley jobs list` shows them.
    """
    return _done("tried anew", len(ids), _ask(lambda conn: queue.retry(conn, ids)))


@jobs.command
def drop(ids: Sequence[int]) -> int:
    """Forget jobs that nobody is at, whatever their state.

    Parameters
    ----------
    ids
        As `parley jobs list` shows them.
    """
    return _done("dropped", len(ids), _ask(lambda conn: queue.drop(conn, ids)))


def _done(word: str, asked: int, count: int) -> int:
    print(f"{count} of {asked} {word}")
    return 0 if count == asked else 1


def _ask(question: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    settings = load(os.environ)

    async def answer() -> T:
        async with connected(settings) as connection:
            return await question(connection)

    return asyncio.run(answer())
