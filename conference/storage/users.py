"""Users as we know them from their tokens."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class User(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    email: str = ""
    org: str = ""


async def put(conn: Connection, user: User, now: datetime) -> None:
    """Create the user, or take over what the token says anew; what it leaves out stays as it was."""
    await conn.execute(
        """insert into users (id, email, name, org, created_at) values ($1, $2, $3, $4, $5)
           on conflict (id) do update set
               email = coalesce(nullif(excluded.email, ''), users.email),
               name = coalesce(nullif(excluded.name, ''), users.name),
               org = coalesce(nullif(excluded.org, ''), users.org)""",
        user.id,
        user.email,
        user.name,
        user.org,
        now,
    )


async def named(conn: Connection, ids: Collection[UUID]) -> list[User]:
    """Those of `ids` whom we know, in no particular order."""
    rows = await conn.fetch("select id, name, email, org from users where id = any($1)", list(ids))
    return [
        User(id=row["id"], name=row["name"], email=row["email"], org=row["org"]) for row in rows
    ]
