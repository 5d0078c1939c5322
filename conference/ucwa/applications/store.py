"""UCWA applications and their instances: rows, and the tombstones of those that ended."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from conference.storage.channels import Connection
from conference.ucwa.application import Application, Ending, Identity, Instance

_COLUMNS = """a.id, a.user_id, a.culture, a.user_agent, a.endpoint_id, a.type, a.created_at, a.available,
    a.anonymous, a.used_at"""
_ALIVE = "not exists (select from ucwa_tombstones t where t.application_id = a.id)"

# Who creates holds the user's lock, so that one identity is alive once and the limit holds.
_LOCK_CLASS = 0x6170  # "ap"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """`ending`: it is over, and why; its row is kept only until the end is complete."""

    application: Application | None
    used_at: datetime | None
    ending: Ending | None


# --- reading ----------------------------------------------------------------------------------


async def find(pool: asyncpg.Pool, application_id: str, user_id: UUID) -> Found | None:
    """None for an id that the user never had, or whose tombstone is gone."""
    row = await pool.fetchrow(
        f"""select {_COLUMNS}, t.subcode
            from (select $1::text as wanted) as asked
            left join ucwa_applications a on a.id = wanted and a.user_id = $2
            left join ucwa_tombstones t on t.application_id = wanted and t.user_id = $2
            where a.id is not null or t.application_id is not null""",
        application_id,
        user_id,
    )
    if row is None:
        return None
    return Found(
        application=_application(row) if row["id"] else None,
        used_at=row["used_at"],
        ending=Ending(row["subcode"]) if row["subcode"] else None,
    )


async def of_identity(conn: Connection, user_id: UUID, identity: Identity) -> Application | None:
    """The one that is alive."""
    row = await conn.fetchrow(
        f"""select {_COLUMNS} from ucwa_applications a
            where user_id = $1 and culture = $2 and user_agent = $3 and endpoint_id = $4 and type = $5
              and {_ALIVE}""",
        user_id,
        identity.culture,
        identity.user_agent,
        identity.endpoint_id,
        identity.type,
    )
    return _application(row) if row else None


async def instances(conn: Connection, application_id: str) -> list[Instance]:
    """That without an id of the client's first, then by age."""
    rows = await conn.fetch(
        """select application_id, instance_id, queue_id, polled from ucwa_instances
           where application_id = $1 order by instance_id <> '', created_at, instance_id""",
        application_id,
    )
    return [_instance(row) for row in rows]


async def with_channel(conn: Connection, queue_id: UUID) -> tuple[Application, Instance] | None:
    row = await conn.fetchrow(
        f"""select {_COLUMNS}, i.application_id, i.instance_id, i.queue_id, i.polled
            from ucwa_instances i join ucwa_applications a on a.id = i.application_id
            where i.queue_id = $1""",
        queue_id,
    )
    return (_application(row), _instance(row)) if row else None


async def queues_of_users(conn: Connection, users: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """The channels of all instances of all applications of each user; users without any are left out."""
    rows = await conn.fetch(
        """select a.user_id, i.queue_id from ucwa_instances i
           join ucwa_applications a on a.id = i.application_id where a.user_id = any($1)""",
        list(users),
    )
    found: dict[UUID, list[UUID]] = {}
    for row in rows:
        found.setdefault(row["user_id"], []).append(row["queue_id"])
    return found


async def queues_of(conn: Connection, application_id: str) -> list[UUID]:
    """The channels of all its instances."""
    rows = await conn.fetch(
        "select queue_id from ucwa_instances where application_id = $1", application_id
    )
    return [row["queue_id"] for row in rows]


async def among(conn: Connection, queue_ids: Collection[UUID]) -> dict[UUID, Instance]:
    """Those of the channels that are instances'."""
    rows = await conn.fetch(
        """select application_id, instance_id, queue_id, polled from ucwa_instances
           where queue_id = any($1)""",
        list(queue_ids),
    )
    return {row["queue_id"]: _instance(row) for row in rows}


# --- beginning --------------------------------------------------------------------------------


async def lock_user(conn: Connection, user_id: UUID) -> None:
    """Until the transaction ends nobody else creates an application of the user."""
    await conn.execute(
        "select pg_advisory_xact_lock($1, hashtext($2::uuid::text))", _LOCK_CLASS, user_id
    )


async def add(conn: Connection, application: Application) -> None:
    await conn.execute(
        """insert into ucwa_applications
               (id, user_id, culture, user_agent, endpoint_id, type, anonymous, created_at, used_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $8)""",
        application.id,
        application.user_id,
        application.culture,
        application.user_agent,
        application.endpoint_id,
        application.type,
        application.anonymous,
        application.created_at,
    )


async def add_instance(conn: Connection, instance: Instance, now: datetime) -> None:
    await conn.execute(
        """insert into ucwa_instances (application_id, instance_id, queue_id, created_at)
           values ($1, $2, $3, $4)""",
        instance.application_id,
        instance.instance_id,
        instance.queue_id,
        now,
    )


async def least_recently_used(conn: Connection, user_id: UUID, keep: int) -> list[Application]:
    """The user's applications beyond the `keep` that were used last."""
    rows = await conn.fetch(
        f"""select {_COLUMNS} from ucwa_applications a where user_id = $1 and {_ALIVE}
            order by used_at desc, created_at desc offset $2""",
        user_id,
        keep,
    )
    return [_application(row) for row in rows]


# --- use --------------------------------------------------------------------------------------


async def touch(pool: asyncpg.Pool, application_id: str, now: datetime) -> None:
    """A request was made."""
    await pool.execute(
        "update ucwa_applications set used_at = greatest(used_at, $2) where id = $1",
        application_id,
        now,
    )


async def mark_polled(pool: asyncpg.Pool, queue_id: UUID) -> None:
    await pool.execute("update ucwa_instances set polled = true where queue_id = $1", queue_id)


async def make_available(conn: Connection, application_id: str, now: datetime) -> bool:
    """Whether it was not available before. Its row is locked until the transaction ends."""
    done = await conn.execute(
        """update ucwa_applications set available = true, active_at = $2
           where id = $1 and not available""",
        application_id,
        now,
    )
    return str(done) == "UPDATE 1"


async def report_activity(conn: Connection, application_id: str, now: datetime) -> bool:
    """False when it is not available, so that there is nothing to report."""
    done = await conn.execute(
        """update ucwa_applications set active_at = greatest(active_at, $2)
           where id = $1 and available""",
        application_id,
        now,
    )
    return str(done) == "UPDATE 1"


# --- ending -----------------------------------------------------------------------------------


async def bury(conn: Connection, application: Application, ending: Ending, now: datetime) -> None:
    """Of two reasons the first one counts."""
    await conn.execute(
        """insert into ucwa_tombstones (application_id, user_id, subcode, ended_at)
           values ($1, $2, $3, $4) on conflict do nothing""",
        application.id,
        application.user_id,
        ending.value,
        now,
    )


async def remove(conn: Connection, application_id: str) -> None:
    await conn.execute("delete from ucwa_applications where id = $1", application_id)


async def remove_instance(conn: Connection, queue_id: UUID) -> None:
    await conn.execute("delete from ucwa_instances where queue_id = $1", queue_id)


async def lock(conn: Connection, application_id: str) -> bool:
    """Whether it is there; if so its instances can't change before the transaction ends."""
    row = await conn.fetchrow(
        "select from ucwa_applications where id = $1 for update", application_id
    )
    return row is not None


async def half_ended(conn: Connection) -> list[Application]:
    """Whose end was begun and not completed: a process died in between, or is at it."""
    rows = await conn.fetch(
        f"""select {_COLUMNS} from ucwa_applications a
            join ucwa_tombstones t on t.application_id = a.id"""
    )
    return [_application(row) for row in rows]


async def without_activity(conn: Connection, since: datetime) -> list[Application]:
    """Available, in no meeting, and without a report since then."""
    rows = await conn.fetch(
        f"""select {_COLUMNS} from ucwa_applications a
            where available and active_at < $1 and {_ALIVE} and not exists (
                select from ucwa_instances i where i.application_id = a.id and (
                    exists (select from participants p where p.queue_id = i.queue_id)
                    or exists (select from queue_entries q where q.queue_id = i.queue_id)))""",
        since,
    )
    return [_application(row) for row in rows]


async def idle_instances(
    conn: Connection, silent: Collection[UUID], since: datetime
) -> list[tuple[Application, Instance]]:
    """Of the silent channels those of instances; one that was never read lives by its application's requests."""
    rows = await conn.fetch(
        f"""select {_COLUMNS}, i.application_id, i.instance_id, i.queue_id, i.polled
            from ucwa_instances i join ucwa_applications a on a.id = i.application_id
            where i.queue_id = any($1) and (i.polled or a.used_at < $2)""",
        list(silent),
        since,
    )
    return [(_application(row), _instance(row)) for row in rows]


async def forget(conn: Connection, before: datetime) -> None:
    """Tombstones that are old enough."""
    await conn.execute(
        """delete from ucwa_tombstones t where ended_at < $1
           and not exists (select from ucwa_applications a where a.id = t.application_id)""",
        before,
    )


def _application(row: asyncpg.Record) -> Application:
    return Application(
        id=row["id"],
        user_id=row["user_id"],
        culture=row["culture"],
        user_agent=row["user_agent"],
        endpoint_id=row["endpoint_id"],
        type=row["type"],
        created_at=row["created_at"],
        available=row["available"],
        anonymous=row["anonymous"],
    )


def _instance(row: asyncpg.Record) -> Instance:
    return Instance(
        application_id=row["application_id"],
        instance_id=row["instance_id"],
        queue_id=row["queue_id"],
        polled=row["polled"],
    )
