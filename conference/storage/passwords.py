"""Passwords, and how often somebody tried to guess one."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import msgspec

from conference.storage.users import Connection, User


class Tries(msgspec.Struct, frozen=True, kw_only=True):
    """Since the last success."""

    count: int
    last_at: datetime


async def put(conn: Connection, user_id: UUID, kept: str, now: datetime) -> None:
    await conn.execute(
        "insert into passwords (user_id, hash, changed_at) values ($1, $2, $3) "
        "on conflict (user_id) do update set hash = excluded.hash, changed_at = excluded.changed_at",
        user_id,
        kept,
        now,
    )


async def find(conn: Connection, email: str, user_id: UUID | None) -> tuple[User, str] | None:
    """Who has a password and this address or id, and the password as it is kept. None: nobody, or not one alone."""
    rows = await conn.fetch(
        """select u.id, u.name, u.email, u.org, p.hash from users u join passwords p on p.user_id = u.id
           where u.id = $2 or ($1 <> '' and lower(u.email) = $1) limit 2""",
        email,
        user_id,
    )
    if len(rows) != 1:
        return None
    row = rows[0]
    user = User(id=row["id"], name=row["name"], email=row["email"], org=row["org"])
    return user, row["hash"]


async def tries(conn: Connection, account: bytes, now: datetime) -> Tries:
    """Within a transaction: nobody else counts this account until its end."""
    (row,) = await conn.fetch(
        """insert into sign_in_tries (account, tries, last_at) values ($1, 0, $2)
           on conflict (account) do update set tries = sign_in_tries.tries
           returning tries, last_at""",
        account,
        now,
    )
    return Tries(count=row["tries"], last_at=row["last_at"])


async def put_tries(conn: Connection, account: bytes, count: int, now: datetime) -> None:
    await conn.execute(
        "update sign_in_tries set tries = $2, last_at = $3 where account = $1", account, count, now
    )


async def forget_tries(conn: Connection, accounts: Collection[bytes]) -> None:
    await conn.execute("delete from sign_in_tries where account = any($1)", list(accounts))


async def forget_tries_before(conn: Connection, moment: datetime) -> None:
    await conn.execute("delete from sign_in_tries where last_at < $1", moment)
