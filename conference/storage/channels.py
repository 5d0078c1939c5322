"""Channels as PostgreSQL knows them: that they exist, and whose they are."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import asyncpg

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

# Advisory locks: a change that tells a user's channels holds the user's lock shared until it commits, a new
# channel takes it alone. So a client that made a channel and then reads the state sees every change that its
# channel will not be told. Users share 256 locks: a meeting of thousands must not fill the server's lock table.
_LOCK_CLASS = 0x6368  # "ch"
_LOCK_ALONE = "select pg_advisory_xact_lock($1, hashtext($2::uuid::text) & 255)"
_LOCK_SHARED = "select user_id, queue_id from told_channels($1, $2)"


async def add(
    pool: asyncpg.Pool, queue_id: UUID, user_id: UUID, now: datetime, *, most: int
) -> bool:
    """False when the user has `most` channels already."""
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(_LOCK_ALONE, _LOCK_CLASS, user_id)
        done = await conn.execute(
            """insert into channels (queue_id, user_id, created_at) select $1, $2, $3
               where (select count(*) from channels where user_id = $2) < $4""",
            queue_id,
            user_id,
            now,
            most,
        )
    return str(done) == "INSERT 0 1"


async def remove(pool: asyncpg.Pool, queue_id: UUID) -> bool:
    """Whether it was there."""
    done = await pool.execute("delete from channels where queue_id = $1", queue_id)
    return str(done) == "DELETE 1"


async def owner(pool: asyncpg.Pool, queue_id: UUID) -> UUID | None:
    found: UUID | None = await pool.fetchval(
        "select user_id from channels where queue_id = $1", queue_id
    )
    return found


async def all_ids(pool: asyncpg.Pool) -> list[UUID]:
    return [row["queue_id"] for row in await pool.fetch("select queue_id from channels")]


async def of_users(pool: asyncpg.Pool, users: Collection[UUID]) -> list[UUID]:
    rows = await pool.fetch("select queue_id from channels where user_id = any($1)", list(users))
    return [row["queue_id"] for row in rows]


async def lock_and_list(conn: Connection, users: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """Each user's channels, none of which can be added before this transaction ends."""
    if not users:
        return {}
    rows = await conn.fetch(_LOCK_SHARED, _LOCK_CLASS, list(users))
    found: dict[UUID, list[UUID]] = {}
    for row in rows:
        found.setdefault(row["user_id"], []).append(row["queue_id"])
    return found
