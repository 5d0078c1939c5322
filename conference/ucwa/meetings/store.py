"""What UCWA keeps beside a meeting, and who has which address."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import asyncpg

from conference.storage.meetings import Connection
from conference.storage.users import User
from conference.ucwa import sip
from conference.ucwa.meetings.rules import Announcement, Details, Switch

_COLUMNS = """meeting_id, owner_id, online_meeting_id, conference_id, assigned, adhoc, lasting,
    description, entry_exit_announcement, phone_user_admission"""


# --- reading ----------------------------------------------------------------------------------


async def by_id(conn: Connection, online_meeting_id: str) -> Details | None:
    row = await conn.fetchrow(
        f"select {_COLUMNS} from online_meetings where online_meeting_id = $1", online_meeting_id
    )
    return _details(row) if row else None


async def of_meeting(conn: Connection, meeting_id: UUID) -> Details | None:
    row = await conn.fetchrow(
        f"select {_COLUMNS} from online_meetings where meeting_id = $1", meeting_id
    )
    return _details(row) if row else None


async def of_owner(conn: Connection, owner_id: UUID) -> list[Details]:
    """Oldest first, without the ad-hoc ones."""
    rows = await conn.fetch(
        f"""select {_COLUMNS} from online_meetings where owner_id = $1 and not adhoc
            order by created_at, online_meeting_id""",
        owner_id,
    )
    return [_details(row) for row in rows]


async def assigned_to(conn: Connection, owner_id: UUID) -> Details | None:
    row = await conn.fetchrow(
        f"select {_COLUMNS} from online_meetings where owner_id = $1 and assigned", owner_id
    )
    return _details(row) if row else None


async def count(conn: Connection, owner_id: UUID, *, adhoc: bool) -> int:
    """How many the owner has of those that are ad hoc, or of the others besides the assigned one."""
    found: int = await conn.fetchval(
        """select count(*) from online_meetings
           where owner_id = $1 and not assigned and adhoc = $2""",
        owner_id,
        adhoc,
    )
    return found


async def without_details(conn: Connection, owner_id: UUID) -> list[UUID]:
    """The owner's meetings that UCWA has not looked at yet."""
    rows = await conn.fetch(
        """select id from meetings where owner_id = $1
             and not exists (select from online_meetings where meeting_id = meetings.id)""",
        owner_id,
    )
    return [row["id"] for row in rows]


async def users_at(
    conn: Connection, addresses: Collection[str], domain: str
) -> dict[str, frozenset[UUID]]:
    """Whom we know at these addresses, which are in lower case. Several users may have the same one."""
    ids = [owner for address in addresses if (owner := sip.user_id(address, domain))]
    rows = await conn.fetch(
        "select id, name, email from users where lower(email) = any($1) or id = any($2)",
        list(addresses),
        ids,
    )
    found: dict[str, set[UUID]] = defaultdict(set)
    for row in rows:
        user = User(id=row["id"], name=row["name"], email=row["email"])
        found[sip.address_of(user, domain)].add(user.id)
    return {address: frozenset(users) for address, users in found.items() if address in addresses}


def _details(row: asyncpg.Record) -> Details:
    return Details(
        meeting_id=row["meeting_id"],
        owner_id=row["owner_id"],
        online_meeting_id=row["online_meeting_id"],
        conference_id=row["conference_id"],
        assigned=row["assigned"],
        adhoc=row["adhoc"],
        lasting=row["lasting"],
        description=row["description"],
        entry_exit_announcement=Announcement(row["entry_exit_announcement"]),
        phone_user_admission=Switch(row["phone_user_admission"]),
    )


# --- writing ----------------------------------------------------------------------------------


async def lock_owner(conn: Connection, owner_id: UUID) -> None:
    """Whoever makes online meetings for this owner takes turns, until the transaction ends."""
    await conn.execute(
        "select pg_advisory_xact_lock(hashtextextended('online meetings of ' || $1, 0))",
        str(owner_id),
    )


async def insert(conn: Connection, details: Details, created_at: datetime) -> bool:
    """False when the meeting has details already or is gone, or one of the ids is taken."""
    written = await conn.fetchval(
        f"""insert into online_meetings ({_COLUMNS}, created_at)
            select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 from meetings where id = $1 for key share
            on conflict do nothing returning meeting_id""",
        details.meeting_id,
        details.owner_id,
        details.online_meeting_id,
        details.conference_id,
        details.assigned,
        details.adhoc,
        details.lasting,
        details.description,
        details.entry_exit_announcement.value,
        details.phone_user_admission.value,
        created_at,
    )
    return written is not None


async def update(conn: Connection, details: Details) -> None:
    """What an organizer decides; under the meeting's lock."""
    await conn.execute(
        """update online_meetings set description = $2, entry_exit_announcement = $3,
               phone_user_admission = $4 where meeting_id = $1""",
        details.meeting_id,
        details.description,
        details.entry_exit_announcement.value,
        details.phone_user_admission.value,
    )
