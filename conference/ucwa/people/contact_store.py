"""Users' contact lists: addresses in groups. What belongs to one user is never asked for without that user's id."""

from __future__ import annotations

from uuid import UUID

import msgspec

from conference.domain.directory import DEFAULT_GROUP, SYSTEM_GROUPS
from conference.storage.meetings import Connection


class Group(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str

    @property
    def personal(self) -> bool:
        return self.id not in SYSTEM_GROUPS


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    group_id: str
    address: str


async def groups(conn: Connection, user_id: UUID) -> list[Group]:
    """Those that everybody has, then the user's own."""
    rows = await conn.fetch(
        "select id, name from contact_groups where user_id = $1 order by id", user_id
    )
    common = [Group(id=id_, name=name) for id_, name in SYSTEM_GROUPS.items()]
    return common + [Group(id=str(row["id"]), name=row["name"]) for row in rows]


async def group(conn: Connection, user_id: UUID, group_id: str) -> Group | None:
    if group_id in SYSTEM_GROUPS:
        return Group(id=group_id, name=SYSTEM_GROUPS[group_id])
    row = await conn.fetchrow(
        "select id, name from contact_groups where user_id = $1 and id::text = $2",
        user_id,
        group_id,
    )
    return Group(id=str(row["id"]), name=row["name"]) if row else None


async def add_group(conn: Connection, user_id: UUID, name: str) -> Group:
    """Raises asyncpg.UniqueViolationError when the user has one of that name."""
    new_id = await conn.fetchval(
        "insert into contact_groups (user_id, name) values ($1, $2) returning id", user_id, name
    )
    return Group(id=str(new_id), name=name)


async def rename_group(conn: Connection, user_id: UUID, group_id: str, name: str) -> None:
    """Raises asyncpg.UniqueViolationError when the user has another of that name."""
    await conn.execute(
        "update contact_groups set name = $3 where user_id = $1 and id::text = $2",
        user_id,
        group_id,
        name,
    )


async def remove_group(conn: Connection, user_id: UUID, group_id: str) -> list[str]:
    """Its contacts that were in no other group are in the default one afterwards; their addresses."""
    await conn.execute(
        "delete from contact_groups where user_id = $1 and id::text = $2", user_id, group_id
    )
    rows = await conn.fetch(
        """with gone as (
               delete from contact_memberships where user_id = $1 and group_id = $2 returning address
           )
           insert into contact_memberships (user_id, group_id, address)
           select $1, $3, address from gone
           where not exists (
               select from contact_memberships as other
               where other.user_id = $1 and other.address = gone.address and other.group_id <> $2
           ) on conflict do nothing returning address""",
        user_id,
        group_id,
        DEFAULT_GROUP,
    )
    return [row["address"] for row in rows]


async def memberships(
    conn: Connection, user_id: UUID, group_id: str | None = None
) -> list[Membership]:
    """Of all groups, or of one."""
    rows = await conn.fetch(
        """select group_id, address from contact_memberships
           where user_id = $1 and ($2::text is null or group_id = $2) order by address, group_id""",
        user_id,
        group_id,
    )
    return [Membership(group_id=row["group_id"], address=row["address"]) for row in rows]


async def addresses(conn: Connection, user_id: UUID, group_id: str | None = None) -> list[str]:
    """Each once, in order."""
    found = await memberships(conn, user_id, group_id)
    return list(dict.fromkeys(item.address for item in found))


async def groups_of(conn: Connection, user_id: UUID, address: str) -> list[str]:
    rows = await conn.fetch(
        "select group_id from contact_memberships where user_id = $1 and address = $2 order by group_id",
        user_id,
        address,
    )
    return [row["group_id"] for row in rows]


async def add(conn: Connection, user_id: UUID, group_id: str, address: str) -> bool:
    """False when it is there already."""
    done = await conn.execute(
        """insert into contact_memberships (user_id, group_id, address) values ($1, $2, $3)
           on conflict do nothing""",
        user_id,
        group_id,
        address,
    )
    return str(done) == "INSERT 0 1"


async def remove(conn: Connection, user_id: UUID, group_id: str, address: str) -> bool:
    """Whether it was there."""
    done = await conn.execute(
        "delete from contact_memberships where user_id = $1 and group_id = $2 and address = $3",
        user_id,
        group_id,
        address,
    )
    return str(done) == "DELETE 1"


async def told_queues(conn: Connection, user_id: UUID) -> frozenset[UUID]:
    """The channels of the user's applications that follow the contact list."""
    rows = await conn.fetch(
        """select queue_id from ucwa_instances join contact_list_subscriptions using (application_id)
           where user_id = $1""",
        user_id,
    )
    return frozenset(row["queue_id"] for row in rows)
