"""Statements that are sent together: to a database some way off, what a change costs is its round trips."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import asyncpg
import msgspec

from conference.downtime import SERVER_DOWN

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

_PARAMETER = re.compile(r"\$([0-9]+)")


class Statement(msgspec.Struct, frozen=True):
    """One that changes rows and gives none back."""

    sql: str
    arguments: tuple[object, ...]


async def run(conn: Connection, statements: Sequence[Statement]) -> None:
    """All in one. They may not touch the same row, nor need what another of them does (PostgreSQL, WITH queries)."""
    if not statements:
        return
    parts: list[str] = []
    arguments: list[object] = []
    for number, statement in enumerate(statements):
        parts.append(f"part{number} as ({_shifted(statement.sql, len(arguments))})")
        arguments += statement.arguments
    await conn.execute(f"with {', '.join(parts)} select", *arguments)


def _shifted(sql: str, by: int) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + by}", sql)


@asynccontextmanager
async def begun_with(conn: Connection, first: str) -> AsyncIterator[None]:
    """A transaction whose first statement goes out with its BEGIN. `first` has no parameters, and gives nothing."""
    try:
        await conn.execute(f"begin; {first}")
        yield
    except BaseException:
        with suppress(*SERVER_DOWN):  # it is rolled back then, or the connection given up
            await conn.execute("rollback")
        raise
    await conn.execute("commit")
