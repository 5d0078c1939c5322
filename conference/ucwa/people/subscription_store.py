"""Which applications watch whom, and which follow their user's contact list; until when."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from conference.storage.meetings import Connection


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A presenceSubscription, with the addresses that it watches."""

    id: int
    application_id: str
    user_id: UUID
    expires_at: datetime
    addresses: list[str] = []


_SELECT = """
select subscription.*, array(
    select address from presence_subscription_members where subscription_id = subscription.id order by address
) as addresses
from presence_subscriptions as subscription
"""


async def of_application(
    conn: Connection, application_id: str, now: datetime
) -> list[Subscription]:
    rows = await conn.fetch(
        f"{_SELECT} where application_id = $1 and expires_at > $2 order by id", application_id, now
    )
    return [_subscription(row) for row in rows]


async def find(
    conn: Connection, application_id: str, subscription_id: int, now: datetime
) -> Subscription | None:
    row = await conn.fetchrow(
        f"{_SELECT} where application_id = $1 and id = $2 and expires_at > $3",
        application_id,
        subscription_id,
        now,
    )
    return _subscription(row) if row else None


async def create(conn: Connection, application_id: str, user_id: UUID, expires_at: datetime) -> int:
    new_id: int = await conn.fetchval(
        """insert into presence_subscriptions (application_id, user_id, expires_at)
           values ($1, $2, $3) returning id""",
        application_id,
        user_id,
        expires_at,
    )
    return new_id


async def extend(conn: Connection, subscription_id: int, expires_at: datetime) -> None:
    await conn.execute(
        "update presence_subscriptions set expires_at = $2, warned = false where id = $1",
        subscription_id,
        expires_at,
    )


async def remove(conn: Connection, subscription_id: int) -> None:
    await conn.execute("delete from presence_subscriptions where id = $1", subscription_id)


async def watch(conn: Connection, subscription_id: int, addresses: Collection[str]) -> None:
    await conn.execute(
        """insert into presence_subscription_members (subscription_id, address)
           select $1, unnest($2::text[]) on conflict do nothing""",
        subscription_id,
        list(addresses),
    )


async def unwatch(conn: Connection, subscription_id: int, address: str) -> None:
    await conn.execute(
        "delete from presence_subscription_members where subscription_id = $1 and address = $2",
        subscription_id,
        address,
    )


async def remove_all(conn: Connection, application_id: str) -> None:
    """All of an application's, of both kinds."""
    for table in ("presence_subscriptions", "contact_list_subscriptions"):
        await conn.execute(f"delete from {table} where application_id = $1", application_id)


async def ending(
    conn: Connection, now: datetime, warn_at: datetime, limit: int
) -> list[Subscription]:
    """Those that are over, and those that end before `warn_at` and were not announced. Not locked."""
    rows = await conn.fetch(
        f"{_SELECT} where expires_at <= $1 or (expires_at <= $2 and not warned) order by id limit $3",
        now,
        warn_at,
        limit,
    )
    return [_subscription(row) for row in rows]


async def claim_end(conn: Connection, subscription_id: int, now: datetime) -> bool:
    """Remove it if it is over. Whether this call did: of several processes one does."""
    done = await conn.execute(
        "delete from presence_subscriptions where id = $1 and expires_at <= $2",
        subscription_id,
        now,
    )
    return str(done) == "DELETE 1"


async def claim_warning(conn: Connection, subscription_id: int, warn_at: datetime) -> bool:
    """Note that its end was announced. Whether this call did."""
    done = await conn.execute(
        """update presence_subscriptions set warned = true
           where id = $1 and expires_at <= $2 and not warned""",
        subscription_id,
        warn_at,
    )
    return str(done) == "UPDATE 1"


# --- contact lists ----------------------------------------------------------------------------


class Following(msgspec.Struct, frozen=True, kw_only=True):
    """An application that follows its user's contact list."""

    application_id: str
    user_id: UUID
    expires_at: datetime


async def following(conn: Connection, application_id: str, now: datetime) -> Following | None:
    row = await conn.fetchrow(
        "select * from contact_list_subscriptions where application_id = $1 and expires_at > $2",
        application_id,
        now,
    )
    return _following(row) if row else None


async def follow(
    conn: Connection, application_id: str, user_id: UUID, expires_at: datetime
) -> None:
    await conn.execute(
        """insert into contact_list_subscriptions (application_id, user_id, expires_at) values ($1, $2, $3)
           on conflict (application_id) do update set expires_at = excluded.expires_at, warned = false""",
        application_id,
        user_id,
        expires_at,
    )


async def unfollow(conn: Connection, application_id: str) -> None:
    await conn.execute(
        "delete from contact_list_subscriptions where application_id = $1", application_id
    )


async def followings_ending(
    conn: Connection, now: datetime, warn_at: datetime, limit: int
) -> list[Following]:
    """As `ending`."""
    rows = await conn.fetch(
        """select * from contact_list_subscriptions
           where expires_at <= $1 or (expires_at <= $2 and not warned) limit $3""",
        now,
        warn_at,
        limit,
    )
    return [_following(row) for row in rows]


async def claim_following(
    conn: Connection, application_id: str, now: datetime, warn_at: datetime
) -> bool:
    """Remove it if it is over, else note that its end was announced. Whether this call did either."""
    removed = await conn.execute(
        "delete from contact_list_subscriptions where application_id = $1 and expires_at <= $2",
        application_id,
        now,
    )
    if str(removed) == "DELETE 1":
        return True
    warned = await conn.execute(
        """update contact_list_subscriptions set warned = true
           where application_id = $1 and expires_at <= $2 and not warned""",
        application_id,
        warn_at,
    )
    return str(warned) == "UPDATE 1"


def _subscription(row: asyncpg.Record) -> Subscription:
    return Subscription(
        id=row["id"],
        application_id=row["application_id"],
        user_id=row["user_id"],
        expires_at=row["expires_at"],
        addresses=list(row["addresses"]),
    )


def _following(row: asyncpg.Record) -> Following:
    return Following(
        application_id=row["application_id"],
        user_id=row["user_id"],
        expires_at=row["expires_at"],
    )
