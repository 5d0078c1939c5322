"""What users publish about themselves, and which of their programs say how active they are."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from conference.domain.directory import (
    ActivePeriod,
    CallForwarding,
    CallForwardingState,
    UnansweredCallHandling,
)
from conference.storage.meetings import Connection
from conference.ucwa.people.presence_rules import OFFLINE, Availability, Preferred, Shown, Source

_DUE = """
select user_id from people where due_at <= $1
union
select user_id from people where availability <> 'Offline'
    and not exists (select from presence_sources join ucwa_applications on id = application_id
                    where ucwa_applications.user_id = people.user_id)
union
select user_id from people where in_meeting
    and not exists (select from participants where participants.user_id = people.user_id)
union
select user_id from participants join people using (user_id)
    where availability <> 'Offline' and not in_meeting
limit $2
"""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """What a user publishes. `shown` is what others were told last; `due_at`: when time alone may change that."""

    user_id: UUID
    preferred: Preferred | None = None
    note: str = ""
    location: str = ""
    shown: Shown = OFFLINE
    in_meeting: bool = False
    last_active: datetime | None = None
    due_at: datetime | None = None
    forwarding: CallForwarding = CallForwarding()


async def lock(conn: Connection, users: Collection[UUID]) -> dict[UUID, Person]:
    """Their rows, made where there are none, and nobody else's to change until this transaction ends.

    Rows are taken in one order everywhere, so that two who name each other don't wait for each other.
    """
    ids = sorted(set(users))
    await conn.execute(
        "insert into people (user_id) select unnest($1::uuid[]) on conflict do nothing", ids
    )
    rows = await conn.fetch(
        "select * from people where user_id = any($1) order by user_id for update", ids
    )
    return {row["user_id"]: _person(row) for row in rows}


async def read(conn: Connection, user_id: UUID) -> Person:
    row = await conn.fetchrow("select * from people where user_id = $1", user_id)
    return _person(row) if row else Person(user_id=user_id)


async def save(conn: Connection, person: Person) -> None:
    """Under the row's lock."""
    await conn.execute(
        """update people set preferred = $2, note = $3, location = $4, availability = $5, activity = $6,
               in_meeting = $7, last_active = $8, due_at = $9, active_period = $10, active_setting = $11,
               unanswered_call_handling = $12
           where user_id = $1""",
        person.user_id,
        person.preferred.value if person.preferred else None,
        person.note,
        person.location,
        person.shown.availability.value,
        person.shown.activity,
        person.in_meeting,
        person.last_active,
        person.due_at,
        person.forwarding.active_period.value,
        person.forwarding.active_setting.value,
        person.forwarding.unanswered_call_handling.value,
    )


async def due(conn: Connection, now: datetime, limit: int) -> list[UUID]:
    """Users of whom something else may have to be shown, though nobody said anything."""
    return [row["user_id"] for row in await conn.fetch(_DUE, now, limit)]


async def in_meeting(conn: Connection, user_id: UUID) -> bool:
    found: bool = await conn.fetchval(
        "select exists(select from participants where user_id = $1)", user_id
    )
    return found


# --- programs ---------------------------------------------------------------------------------


async def sources(conn: Connection, user_id: UUID) -> list[Source]:
    rows = await conn.fetch(
        """select active_at, inactive_after from presence_sources
           join ucwa_applications on id = application_id
           where user_id = $1 and active_at is not null""",
        user_id,
    )
    return [
        Source(reported_at=row["active_at"], inactive_after=row["inactive_after"]) for row in rows
    ]


async def add_source(conn: Connection, application_id: str, inactive_after: float) -> None:
    await conn.execute(
        "insert into presence_sources (application_id, inactive_after) values ($1, $2)",
        application_id,
        inactive_after,
    )


async def remove_source(conn: Connection, application_id: str) -> None:
    await conn.execute("delete from presence_sources where application_id = $1", application_id)


# --- who is told ------------------------------------------------------------------------------


async def own_queues(conn: Connection, user_id: UUID) -> frozenset[UUID]:
    """The channels of those of the user's applications that made them available."""
    rows = await conn.fetch(
        """select queue_id from ucwa_instances join presence_sources using (application_id)
           join ucwa_applications on ucwa_applications.id = application_id where user_id = $1""",
        user_id,
    )
    return frozenset(row["queue_id"] for row in rows)


async def watching_queues(
    conn: Connection, address: str, org: str | None, now: datetime
) -> frozenset[UUID]:
    """The channels of applications that subscribed to the address. `org`: only of that one's users; None: of all."""
    rows = await conn.fetch(
        """select distinct queue_id from presence_subscription_members as member
           join presence_subscriptions as subscription on subscription.id = member.subscription_id
           join ucwa_instances using (application_id)
           join users on users.id = subscription.user_id
           where member.address = $1 and subscription.expires_at > $2 and ($3::text is null or users.org = $3)""",
        address,
        now,
        org,
    )
    return frozenset(row["queue_id"] for row in rows)


# --- photos -----------------------------------------------------------------------------------


class Photo(msgspec.Struct, frozen=True, kw_only=True):
    content_type: str
    content: bytes


async def photo(conn: Connection, user_id: UUID) -> Photo | None:
    row = await conn.fetchrow(
        "select content_type, content from photos where user_id = $1", user_id
    )
    return Photo(content_type=row["content_type"], content=row["content"]) if row else None


async def put_photo(conn: Connection, user_id: UUID, photo: Photo, now: datetime) -> None:
    await conn.execute(
        """insert into photos (user_id, content_type, content, taken_at) values ($1, $2, $3, $4)
           on conflict (user_id) do update set content_type = excluded.content_type,
               content = excluded.content, taken_at = excluded.taken_at""",
        user_id,
        photo.content_type,
        photo.content,
        now,
    )


async def remove_photo(conn: Connection, user_id: UUID) -> bool:
    """Whether there was one."""
    done = await conn.execute("delete from photos where user_id = $1", user_id)
    return str(done) == "DELETE 1"


def _person(row: asyncpg.Record) -> Person:
    preferred = row["preferred"]
    return Person(
        user_id=row["user_id"],
        preferred=Preferred(preferred) if preferred else None,
        note=row["note"],
        location=row["location"],
        shown=Shown(availability=Availability(row["availability"]), activity=row["activity"]),
        in_meeting=row["in_meeting"],
        last_active=row["last_active"],
        due_at=row["due_at"],
        forwarding=CallForwarding(
            active_period=ActivePeriod(row["active_period"]),
            active_setting=CallForwardingState(row["active_setting"]),
            unanswered_call_handling=UnansweredCallHandling(row["unanswered_call_handling"]),
        ),
    )
