"""The meeting aggregate in PostgreSQL: read whole, written back as the difference between two states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from conference.domain.door import Door
from conference.domain.meeting import Item, Meeting, Participant, QueueEntry
from schemas.terms import MeetingType, QueueStatus, UserType

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
"""A connection on its own or one lent by a pool."""

_MEETING = """id, name, meeting_type, room_id, owner_id, join_code, active, created_at, started_at,
    expiration, rec_started_at, rec_user_id, worker_id, media_epoch, door"""

_LOCK_CLASS = 0x6D65  # "me"

_door_in = msgspec.json.Decoder(Door)
_door_out = msgspec.json.Encoder()


# --- reading ----------------------------------------------------------------------------------


async def lock(conn: Connection, meeting_id: UUID) -> Meeting | None:
    """The whole meeting, its row locked until the transaction ends. Every change begins here."""
    row = await conn.fetchrow(
        f"select {_MEETING} from meetings where id = $1 for update", meeting_id
    )
    return (await _whole(conn, [row]))[0] if row else None


async def read(conn: Connection, meeting_id: UUID) -> Meeting | None:
    row = await conn.fetchrow(f"select {_MEETING} from meetings where id = $1", meeting_id)
    return (await _whole(conn, [row]))[0] if row else None


async def read_all(conn: Connection, meeting_ids: Collection[UUID]) -> dict[UUID, Meeting]:
    """Those that there are."""
    rows = await conn.fetch(
        f"select {_MEETING} from meetings where id = any($1)", list(meeting_ids)
    )
    return {meeting.id: meeting for meeting in await _whole(conn, rows)}


async def of_room(conn: Connection, room_id: UUID) -> Meeting | None:
    row = await conn.fetchrow(f"select {_MEETING} from meetings where room_id = $1", room_id)
    return (await _whole(conn, [row]))[0] if row else None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """`after`: the moment at which the last meeting of the page before was created, and its id."""

    limit: int
    after: tuple[datetime, UUID] | None = None


async def of_member(conn: Connection, user_id: UUID, page: Page) -> list[Meeting]:
    """Meetings whose access list has the user, oldest first; one more than the page holds, if there is one."""
    created_at, meeting_id = page.after or (None, None)
    rows = await conn.fetch(
        f"""select {_MEETING} from meetings
            where id in (select meeting_id from members where user_id = $1)
              and ($2::timestamptz is null or (created_at, id) > ($2, $3::uuid))
            order by created_at, id limit $4""",
        user_id,
        created_at,
        meeting_id,
        page.limit + 1,
    )
    return await _whole(conn, rows)


async def lock_and_count(conn: Connection, owner_id: UUID) -> int:
    """The meetings of an owner, to which nobody adds one this way before this transaction ends. Online meetings of
    UCWA have a limit of their own."""
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


async def _whole(conn: Connection, rows: Sequence[asyncpg.Record]) -> list[Meeting]:
    ids = [row["id"] for row in rows]
    if not ids:
        return []
    members: dict[UUID, dict[UUID, UserType]] = defaultdict(dict)
    admitted: dict[UUID, dict[UUID, datetime]] = defaultdict(dict)
    for record in await conn.fetch("select * from members where meeting_id = any($1)", ids):
        members[record["meeting_id"]][record["user_id"]] = UserType(record["role"])
        if record["admitted_until"] is not None:
            admitted[record["meeting_id"]][record["user_id"]] = record["admitted_until"]
    participants: dict[UUID, dict[UUID, Participant]] = defaultdict(dict)
    for record in await conn.fetch(
        "select * from participants where meeting_id = any($1) order by joined_at, user_id", ids
    ):
        participants[record["meeting_id"]][record["user_id"]] = participant_of(record)
    queue: dict[UUID, dict[UUID, QueueEntry]] = defaultdict(dict)
    for record in await conn.fetch(
        "select * from queue_entries where meeting_id = any($1) order by queued_at, user_id", ids
    ):
        queue[record["meeting_id"]][record["user_id"]] = _queue_entry(record)
    return [
        _meeting(
            row,
            members[row["id"]],
            participants[row["id"]],
            queue[row["id"]],
            admitted[row["id"]],
        )
        for row in rows
    ]


def _meeting(
    row: asyncpg.Record,
    members: dict[UUID, UserType],
    participants: dict[UUID, Participant],
    queue: dict[UUID, QueueEntry],
    admitted: dict[UUID, datetime],
) -> Meeting:
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
        members=members,
        participants=participants,
        queue=queue,
        admitted=admitted,
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


def _queue_entry(row: asyncpg.Record) -> QueueEntry:
    return QueueEntry(
        user_id=row["user_id"],
        queue_id=row["queue_id"],
        status=QueueStatus(row["status"]),
        queued_at=row["queued_at"],
        role=UserType(row["role"]),
        enters=row["enters"],
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
    await _put_members(conn, meeting, meeting.members)
    return True


async def save(conn: Connection, before: Meeting, after: Meeting | None) -> None:
    """Write what differs. `before` is what `lock` gave in this transaction."""
    if after is None:
        await conn.execute("delete from meetings where id = $1", before.id)
        return
    if _row(before) != _row(after):
        await conn.execute(
            """update meetings set name = $2, active = $3, started_at = $4, expiration = $5,
                   rec_started_at = $6, rec_user_id = $7, worker_id = $8, media_epoch = $9,
                   door = $10
               where id = $1""",
            after.id,
            *_row(after),
        )
    await _save_members(conn, before, after)
    await _save_participants(conn, before, after)
    await _save_queue(conn, before, after)


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


async def _save_members(conn: Connection, before: Meeting, after: Meeting) -> None:
    gone = before.members.keys() - after.members.keys()
    if gone:
        await conn.execute(
            "delete from members where meeting_id = $1 and user_id = any($2)", after.id, list(gone)
        )
    changed = {user for user, _ in _changed(before.members, after.members)}
    admitted = before.admitted.keys() | after.admitted.keys()
    changed |= {user for user in admitted if before.admitted.get(user) != after.admitted.get(user)}
    await _put_members(conn, after, changed & after.members.keys())


async def _put_members(conn: Connection, meeting: Meeting, users: Collection[UUID]) -> None:
    rows = [
        (meeting.id, user, meeting.members[user].value, meeting.admitted.get(user))
        for user in users
    ]
    if rows:
        await conn.executemany(
            """insert into members (meeting_id, user_id, role, admitted_until)
               values ($1, $2, $3, $4)
               on conflict (meeting_id, user_id) do update
               set role = excluded.role, admitted_until = excluded.admitted_until""",
            rows,
        )


async def _save_participants(conn: Connection, before: Meeting, after: Meeting) -> None:
    gone = before.participants.keys() - after.participants.keys()
    if gone:
        await conn.execute(
            "delete from participants where meeting_id = $1 and user_id = any($2)",
            after.id,
            list(gone),
        )
    rows = [
        (
            after.id,
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
    if rows:
        await conn.executemany(
            """insert into participants (meeting_id, user_id, queue_id, audio, video, screen,
                   wants_audio, wants_video, joined_at)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
               on conflict (meeting_id, user_id) do update set queue_id = excluded.queue_id,
                   audio = excluded.audio, video = excluded.video, screen = excluded.screen,
                   wants_audio = excluded.wants_audio, wants_video = excluded.wants_video""",
            rows,
        )


async def _save_queue(conn: Connection, before: Meeting, after: Meeting) -> None:
    gone = before.queue.keys() - after.queue.keys()
    if gone:
        await conn.execute(
            "delete from queue_entries where meeting_id = $1 and user_id = any($2)",
            after.id,
            list(gone),
        )
    rows = [
        (
            after.id,
            item.user_id,
            item.queue_id,
            item.status.value,
            item.queued_at,
            item.role.value,
            item.enters,
        )
        for _, item in _changed(before.queue, after.queue)
    ]
    if rows:
        await conn.executemany(
            """insert into queue_entries (meeting_id, user_id, queue_id, status, queued_at, role, enters)
               values ($1, $2, $3, $4, $5, $6, $7)
               on conflict (meeting_id, user_id) do update set queue_id = excluded.queue_id,
                   status = excluded.status, role = excluded.role, enters = excluded.enters""",
            rows,
        )


def _changed(before: Mapping[UUID, Item], after: Mapping[UUID, Item]) -> list[tuple[UUID, Item]]:
    return [(key, value) for key, value in after.items() if before.get(key) != value]
