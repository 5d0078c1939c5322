"""Looks at meetings that don't need the whole: who may see what, who sits where, what is due."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import msgspec

from conference.domain.holding import Due, Entitled
from conference.domain.meeting import Participant
from conference.storage.meetings import Connection, participant_of


class PublicMeeting(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """One user's part in a meeting, and where the meeting's media is."""

    active: bool
    worker_id: str | None
    media_epoch: int
    member: bool
    participant: Participant | None


async def public(conn: Connection, meeting_id: UUID) -> PublicMeeting | None:
    """What anyone may know of a scheduled meeting."""
    row = await conn.fetchrow(
        "select id, name from meetings where id = $1 and meeting_type = 'scheduled'", meeting_id
    )
    return PublicMeeting(id=row["id"], name=row["name"]) if row else None


async def by_join_code(conn: Connection, code: str) -> PublicMeeting | None:
    row = await conn.fetchrow("select id, name from meetings where join_code = $1", code)
    return PublicMeeting(id=row["id"], name=row["name"]) if row else None


async def seat(conn: Connection, meeting_id: UUID, user_id: UUID) -> Seat | None:
    """What a media call needs to know, in one look. None: no such meeting."""
    row = await conn.fetchrow(
        """select m.active, m.worker_id, m.media_epoch, members.role, participants.*
           from meetings m
           left join members on members.meeting_id = m.id and members.user_id = $2
           left join participants on participants.meeting_id = m.id and participants.user_id = $2
           where m.id = $1""",
        meeting_id,
        user_id,
    )
    if row is None:
        return None
    return Seat(
        active=row["active"],
        worker_id=row["worker_id"],
        media_epoch=row["media_epoch"],
        member=row["role"] is not None,
        participant=participant_of(row) if row["user_id"] else None,
    )


async def present(conn: Connection, meeting_id: UUID, epoch: int) -> list[UUID]:
    """Who is in the meeting, provided its media is still at this placement."""
    rows = await conn.fetch(
        """select user_id from participants join meetings on meetings.id = meeting_id
           where meeting_id = $1 and media_epoch = $2""",
        meeting_id,
        epoch,
    )
    return [row["user_id"] for row in rows]


async def with_queues(conn: Connection, queue_ids: Collection[UUID]) -> list[tuple[UUID, UUID]]:
    """(meeting, channel) wherever somebody joined, or waits, with one of these channels."""
    rows = await conn.fetch(
        """select meeting_id, queue_id from participants where queue_id = any($1)
           union select meeting_id, queue_id from queue_entries where queue_id = any($1)""",
        list(queue_ids),
    )
    return [(row["meeting_id"], row["queue_id"]) for row in rows]


async def orphaned_queues(conn: Connection) -> list[UUID]:
    """Channels that are gone while somebody is still listed with them."""
    rows = await conn.fetch(
        """select queue_id from (
               select queue_id from participants union select queue_id from queue_entries
           ) as used
           where not exists (select from channels where channels.queue_id = used.queue_id)"""
    )
    return [row["queue_id"] for row in rows]


async def expired(conn: Connection, now: datetime) -> list[UUID]:
    rows = await conn.fetch(
        """select id from meetings
           where expiration <= $1 and meeting_type = 'scheduled'
             and not exists (select from participants where meeting_id = meetings.id)""",
        now,
    )
    return [row["id"] for row in rows]


async def unused(conn: Connection, since: datetime) -> list[UUID]:
    """Meetings that started at `since` or before and have nobody in them."""
    rows = await conn.fetch(
        """select id from meetings
           where active and started_at <= $1
             and not exists (select from participants where meeting_id = meetings.id)""",
        since,
    )
    return [row["id"] for row in rows]


async def placements(conn: Connection) -> list[tuple[UUID, str, int]]:
    """(meeting, worker, epoch) of every active meeting whose media is somewhere."""
    rows = await conn.fetch(
        "select id, worker_id, media_epoch from meetings where active and worker_id is not null"
    )
    return [(row["id"], row["worker_id"], row["media_epoch"]) for row in rows]


async def due(conn: Connection, worker: str) -> dict[UUID, Due]:
    """What a worker should hold: the active meetings that are placed on it, and who is in them."""
    rows = await conn.fetch(
        """select id, media_epoch, user_id, queue_id, audio, video, screen
           from meetings left join participants on meeting_id = id
           where worker_id = $1 and active""",
        worker,
    )
    users: dict[tuple[UUID, int], dict[UUID, Entitled]] = {}
    for meeting_id, epoch, user_id, queue_id, audio, video, screen in rows:
        found = users.setdefault((meeting_id, epoch), {})
        if user_id is not None:
            found[user_id] = Entitled(client=queue_id, audio=audio, video=video, screen=screen)
    return {
        meeting_id: Due(epoch=epoch, users=found) for (meeting_id, epoch), found in users.items()
    }
