"""The meeting aggregate in PostgreSQL: read whole, written back as the difference between two states."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from conference.domain.door import Door
from conference.domain.meeting import Item, Meeting, Participant, QueueEntry
from conference.errors import Forbidden
from conference.storage.statements import Statement, run
from schemas.terms import MeetingType, UserType

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
"""A connection on its own or one lent by a pool."""

_MEETING = """id, name, meeting_type, room_id, owner_id, join_code, active, created_at, started_at,
    expiration, rec_started_at, rec_user_id, worker_id, media_epoch, door"""

_LOCK_CLASS = 0x6D65  # "me"

_WHOLE = f"""select {_MEETING},
    (select json_agg(it) from members as it where it.meeting_id = meetings.id) as members,
    (select json_agg(it order by it.joined_at, it.user_id) from participants as it
     where it.meeting_id = meetings.id) as participants,
    (select json_agg(it order by it.queued_at, it.user_id) from queue_entries as it
     where it.meeting_id = meetings.id) as queue
    from meetings"""


class _Member(msgspec.Struct, frozen=True):
    user_id: UUID
    role: UserType
    admitted_until: datetime | None = None


_members_in = msgspec.json.Decoder(list[_Member])
_participants_in = msgspec.json.Decoder(list[Participant])
_queue_in = msgspec.json.Decoder(list[QueueEntry])
_door_in = msgspec.json.Decoder(Door)
_door_out = msgspec.json.Encoder()


# --- reading ----------------------------------------------------------------------------------


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """That a channel is a user's."""

    queue_id: UUID
    user_id: UUID


def locking(meeting_id: UUID) -> str:
    """Locks the meeting's row until the transaction ends. Every change begins here; what the lock waited for is in
    what a later statement reads, not in what this one would."""
    return f"select from meetings where id = '{meeting_id}' for update"


async def read(conn: Connection, meeting_id: UUID, claim: Claim | None = None) -> Meeting | None:
    """With a claim that holds, the channel can't be closed before the transaction ends; else raises Forbidden."""
    if claim is None:
        row = await conn.fetchrow(f"{_WHOLE} where id = $1", meeting_id)
        return _meeting(row) if row else None
    row = await conn.fetchrow(
        f"""with claimed as (
                select from channels where queue_id = $2 and user_id = $3 for key share)
            {_WHOLE.replace("from meetings", ", exists(select from claimed) as claimed from meetings")}
            where id = $1""",
        meeting_id,
        claim.queue_id,
        claim.user_id,
    )
    if row is None:
        return None
    if not row["claimed"]:
        raise Forbidden("queue-id is not a channel of yours", code="not_your_channel")
    return _meeting(row)


async def read_all(conn: Connection, meeting_ids: Collection[UUID]) -> dict[UUID, Meeting]:
    """Those that there are."""
    rows = await conn.fetch(f"{_WHOLE} where id = any($1)", list(meeting_ids))
    return {row["id"]: _meeting(row) for row in rows}


async def of_room(conn: Connection, room_id: UUID) -> Meeting | None:
    row = await conn.fetchrow(f"{_WHOLE} where room_id = $1", room_id)
    return _meeting(row) if row else None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """`after`: the moment at which the last meeting of the page before was created, and its id."""

    limit: int
    after: tuple[datetime, UUID] | None = None


async def of_member(conn: Connection, user_id: UUID, page: Page) -> list[Meeting]:
    """Meetings whose access list has the user, oldest first; one more than the page holds, if there is one."""
    created_at, meeting_id = page.after or (None, None)
    rows = await conn.fetch(
        f"""{_WHOLE}
            where id in (select meeting_id from members where user_id = $1)
              and ($2::timestamptz is null or (created_at, id) > ($2, $3::uuid))
            order by created_at, id limit $4""",
        user_id,
        created_at,
        meeting_id,
        page.limit + 1,
    )
    return [_meeting(row) for row in rows]


async def lock_and_count(conn: Connection, owner_id: UUID) -> int:
    """The meetings of an owner, to which nobody adds one this way before this transaction ends. Meetings with a
    door have a limit of their own."""
    await conn.execute(
        "select pg_advisory_xact_lock($1, hashtext($2::uuid::text))", _LOCK_CLASS, owner_id
    )
    found: int = await conn.fetchval(
        "select count(*) from meetings where owner_id = $1 and door is null", owner_id
    )
    return found


async def own_channel(conn: Connection, queue_id: UUID, user_id: UUID) -> bool:
    """Whether the channel is the user's; if so it can't be closed before the transaction ends."""
    row = await conn.fetchrow(
        "select from channels where queue_id = $1 and user_id = $2 for key share", queue_id, user_id
    )
    return row is not None


def _meeting(row: asyncpg.Record) -> Meeting:
    members = _members_in.decode(row["members"] or "[]")
    participants = _participants_in.decode(row["participants"] or "[]")
    queue = _queue_in.decode(row["queue"] or "[]")
    return Meeting(
        id=row["id"],
        name=row["name"],
        meeting_type=MeetingType(row["meeting_type"]),
        room_id=row["room_id"],
        owner_id=row["owner_id"],
        join_code=row["join_code"],
        active=row["active"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        expiration=row["expiration"],
        rec_started_at=row["rec_started_at"],
        rec_user_id=row["rec_user_id"],
        worker_id=row["worker_id"],
        media_epoch=row["media_epoch"],
        door=_door_in.decode(row["door"]) if row["door"] else None,
        members={item.user_id: item.role for item in members},
        participants={item.user_id: item for item in participants},
        queue={item.user_id: item for item in queue},
        admitted={item.user_id: item.admitted_until for item in members if item.admitted_until},
    )


def participant_of(row: asyncpg.Record) -> Participant:
    return Participant(
        user_id=row["user_id"],
        queue_id=row["queue_id"],
        joined_at=row["joined_at"],
        audio=row["audio"],
        video=row["video"],
        screen=row["screen"],
        wants_audio=row["wants_audio"],
        wants_video=row["wants_video"],
    )


# --- writing ----------------------------------------------------------------------------------


async def insert(conn: Connection, meeting: Meeting) -> bool:
    """A new meeting with its access list; False when its room has one already."""
    written = await conn.fetchval(
        """insert into meetings (id, name, meeting_type, room_id, owner_id, join_code, active,
               created_at, expiration, door)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
           on conflict (room_id) do nothing returning id""",
        meeting.id,
        meeting.name,
        meeting.meeting_type.value,
        meeting.room_id,
        meeting.owner_id,
        meeting.join_code,
        meeting.active,
        meeting.created_at,
        meeting.expiration,
        _json(meeting.door),
    )
    if written is None:
        return False
    await run(conn, _put_members(meeting, meeting.members))
    return True


def saving(before: Meeting, after: Meeting | None) -> list[Statement]:
    """Write what differs. `before` was read under the meeting's lock, in this transaction."""
    if after is None:
        return [Statement("delete from meetings where id = $1", (before.id,))]
    return [
        *_save_meeting(before, after),
        *_save_members(before, after),
        *_save_participants(before, after),
        *_save_queue(before, after),
    ]


def _save_meeting(before: Meeting, after: Meeting) -> list[Statement]:
    if _row(before) == _row(after):
        return []
    return [
        Statement(
            """update meetings set name = $2, active = $3, started_at = $4, expiration = $5,
                   rec_started_at = $6, rec_user_id = $7, worker_id = $8, media_epoch = $9,
                   door = $10
               where id = $1""",
            (after.id, *_row(after)),
        )
    ]


def _row(meeting: Meeting) -> tuple[object, ...]:
    return (
        meeting.name,
        meeting.active,
        meeting.started_at,
        meeting.expiration,
        meeting.rec_started_at,
        meeting.rec_user_id,
        meeting.worker_id,
        meeting.media_epoch,
        _json(meeting.door),
    )


def _json(door: Door | None) -> str | None:
    return _door_out.encode(door).decode() if door else None


def _save_members(before: Meeting, after: Meeting) -> list[Statement]:
    changed = {user for user, _ in _changed(before.members, after.members)}
    admitted = before.admitted.keys() | after.admitted.keys()
    changed |= {user for user in admitted if before.admitted.get(user) != after.admitted.get(user)}
    return [
        *_delete("members", after.id, before.members.keys() - after.members.keys()),
        *_put_members(after, changed & after.members.keys()),
    ]


def _put_members(meeting: Meeting, users: Collection[UUID]) -> list[Statement]:
    rows = [(user, meeting.members[user].value, meeting.admitted.get(user)) for user in users]
    return _put(
        """insert into members (meeting_id, user_id, role, admitted_until)
           select $1::uuid, * from unnest($2::uuid[], $3::text[], $4::timestamptz[])
           on conflict (meeting_id, user_id) do update
           set role = excluded.role, admitted_until = excluded.admitted_until""",
        meeting.id,
        rows,
    )


def _save_participants(before: Meeting, after: Meeting) -> list[Statement]:
    rows = [
        (
            item.user_id,
            item.queue_id,
            item.audio,
            item.video,
            item.screen,
            item.wants_audio,
            item.wants_video,
            item.joined_at,
        )
        for _, item in _changed(before.participants, after.participants)
    ]
    return [
        *_delete("participants", after.id, before.participants.keys() - after.participants.keys()),
        *_put(
            """insert into participants (meeting_id, user_id, queue_id, audio, video, screen,
                   wants_audio, wants_video, joined_at)
               select $1::uuid, * from unnest($2::uuid[], $3::uuid[], $4::bool[], $5::bool[], $6::bool[],
                   $7::bool[], $8::bool[], $9::timestamptz[])
               on conflict (meeting_id, user_id) do update set queue_id = excluded.queue_id,
                   audio = excluded.audio, video = excluded.video, screen = excluded.screen,
                   wants_audio = excluded.wants_audio, wants_video = excluded.wants_video""",
            after.id,
            rows,
        ),
    ]


def _save_queue(before: Meeting, after: Meeting) -> list[Statement]:
    rows = [
        (
            item.user_id,
            item.queue_id,
            item.status.value,
            item.queued_at,
            item.role.value,
            item.enters,
        )
        for _, item in _changed(before.queue, after.queue)
    ]
    return [
        *_delete("queue_entries", after.id, before.queue.keys() - after.queue.keys()),
        *_put(
            """insert into queue_entries (meeting_id, user_id, queue_id, status, queued_at, role, enters)
               select $1::uuid, * from unnest($2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[],
                   $6::text[], $7::bool[])
               on conflict (meeting_id, user_id) do update set queue_id = excluded.queue_id,
                   status = excluded.status, role = excluded.role, enters = excluded.enters""",
            after.id,
            rows,
        ),
    ]


def _delete(table: str, meeting_id: UUID, users: Collection[UUID]) -> list[Statement]:
    if not users:
        return []
    sql = f"delete from {table} where meeting_id = $1 and user_id = any($2::uuid[])"
    return [Statement(sql, (meeting_id, list(users)))]


def _put(sql: str, meeting_id: UUID, rows: Sequence[tuple[object, ...]]) -> list[Statement]:
    """The columns of the rows are arrays."""
    if not rows:
        return []
    return [Statement(sql, (meeting_id, *map(list, zip(*rows, strict=True))))]


def _changed(before: Mapping[UUID, Item], after: Mapping[UUID, Item]) -> list[tuple[UUID, Item]]:
    return [(key, value) for key, value in after.items() if before.get(key) != value]
