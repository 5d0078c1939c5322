"""Users as we know them from their tokens."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from conference.domain.directory import Profile
from schemas.terms import UserType

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class User(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    email: str = ""
    org: str = ""


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A user as the directory has them."""

    user: User
    profile: Profile = Profile()
    photo: bool = False
    """Whether a picture of them was given."""


_CARD = """
select id, name, email, org, profile, exists(select from photos where photos.user_id = users.id) as photo
from users
"""


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


async def seen_by(conn: Connection, by: UUID, ids: Collection[UUID]) -> list[User]:
    """As `named`: themselves, those of their organisation, members of a meeting that is theirs too, and who waits
    for one that they moderate."""
    rows = await conn.fetch(
        """select id, name, email, org from users
           where id = any($2) and (
               id = $1
               or org = (select org from users where id = $1)
               or exists (
                   select from members as mine join members as theirs using (meeting_id)
                   where mine.user_id = $1 and theirs.user_id = users.id)
               or exists (
                   select from members as mine join queue_entries using (meeting_id)
                   where mine.user_id = $1 and mine.role = $3 and queue_entries.user_id = users.id))""",
        by,
        list(ids),
        UserType.MODERATOR.value,
    )
    return [
        User(id=row["id"], name=row["name"], email=row["email"], org=row["org"]) for row in rows
    ]


# --- the directory ----------------------------------------------------------------------------


async def card(conn: Connection, user_id: UUID) -> Card | None:
    row = await conn.fetchrow(f"{_CARD} where id = $1", user_id)
    return _card(row) if row else None


async def cards(conn: Connection, ids: Collection[UUID]) -> list[Card]:
    """Of those of `ids` whom we know, in no particular order."""
    return [_card(row) for row in await conn.fetch(f"{_CARD} where id = any($1)", list(ids))]


async def cards_at(conn: Connection, emails: Collection[str], ids: Collection[UUID]) -> list[Card]:
    """Those with one of the e-mail addresses (in lower case), of several the one we knew first; and those with one
    of the ids."""
    rows = await conn.fetch(
        f"""select * from (
                {_CARD} join (
                    select distinct on (lower(email)) id from users where lower(email) = any($1)
                    order by lower(email), created_at, id
                ) as first using (id)
            ) as named
            union all {_CARD} where id = any($2)""",
        list(emails),
        list(ids),
    )
    return [_card(row) for row in rows]


async def search(conn: Connection, text: str, *, org: str | None, limit: int) -> list[Card]:
    """Whose name, address, organisation or phone number on the card has the text in it; names that begin with it
    come first. `org`: only of that one; None: of all."""
    pattern = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    rows = await conn.fetch(
        f"""{_CARD}
            where ($1::text is null or org = $1) and name <> ''
              and (name ilike '%' || $2 || '%' or email ilike '%' || $2 || '%' or org ilike '%' || $2 || '%'
                   or exists (
                       select from jsonb_each(coalesce(profile -> 'phones', '{{}}')) as phone(kind, it)
                       where it ->> 'number' ilike '%' || $2 || '%'
                         and coalesce((it ->> 'includeInContactCard')::boolean, true)))
            order by name not ilike $2 || '%', lower(name), id limit $3""",
        org,
        pattern,
        limit,
    )
    return [_card(row) for row in rows]


async def lock_profile(conn: Connection, user_id: UUID) -> Profile | None:
    """None for an unknown user. Nobody else changes it before this transaction ends."""
    text = await conn.fetchval("select profile from users where id = $1 for update", user_id)
    return None if text is None else msgspec.json.decode(text, type=Profile)


async def save_profile(conn: Connection, user_id: UUID, profile: Profile) -> None:
    await conn.execute(
        "update users set profile = $2 where id = $1",
        user_id,
        msgspec.json.encode(profile).decode(),
    )


def _card(row: asyncpg.Record) -> Card:
    return Card(
        user=User(id=row["id"], name=row["name"], email=row["email"], org=row["org"]),
        profile=msgspec.json.decode(row["profile"], type=Profile),
        photo=row["photo"],
    )
