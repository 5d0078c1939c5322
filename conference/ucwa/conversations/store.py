"""Conversations in PostgreSQL: which application is in which meeting, and with what operation it came."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from conference.storage.meetings import Connection
from conference.ucwa.conversations.facts import Importance, InvitationView
from conference.ucwa.conversations.rules import Conversation

_COLUMNS = """application_id, meeting_id, user_id, queue_id, anonymous, created_at, invitation_id,
    operation_id, subject, importance, thread_id, online_meeting_uri, anonymous_display_name"""


class Watcher(msgspec.Struct, frozen=True):
    """A conversation, and the channels of all instances of its application."""

    conversation: Conversation
    queues: frozenset[UUID]


async def insert(conn: Connection, conversation: Conversation) -> bool:
    """False when the application has one about this meeting, or one by this operation, already."""
    asked = conversation.invitation
    done = await conn.execute(
        f"""insert into ucwa_conversations ({_COLUMNS})
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
            on conflict do nothing""",
        conversation.application_id,
        conversation.meeting_id,
        conversation.user_id,
        conversation.queue_id,
        conversation.anonymous,
        conversation.created_at,
        asked.id,
        asked.operation_id,
        asked.subject,
        asked.importance.value,
        asked.thread_id,
        asked.online_meeting_uri,
        asked.anonymous_display_name,
    )
    return str(done) == "INSERT 0 1"


async def delete(conn: Connection, meeting_id: UUID, application_ids: Collection[str]) -> None:
    await conn.execute(
        "delete from ucwa_conversations where meeting_id = $1 and application_id = any($2)",
        meeting_id,
        list(application_ids),
    )


async def watching(conn: Connection, meeting_id: UUID) -> list[Watcher]:
    """Everyone to tell of a change of the meeting."""
    rows = await conn.fetch(
        f"""select {_COLUMNS}, array(
                select i.queue_id from ucwa_instances i
                where i.application_id = c.application_id) as queues
            from ucwa_conversations c where meeting_id = $1 order by created_at, application_id""",
        meeting_id,
    )
    return [Watcher(_conversation(row), frozenset(row["queues"])) for row in rows]


async def one(conn: Connection, application_id: str, meeting_id: UUID) -> Conversation | None:
    row = await conn.fetchrow(
        f"""select {_COLUMNS} from ucwa_conversations
            where application_id = $1 and meeting_id = $2""",
        application_id,
        meeting_id,
    )
    return _conversation(row) if row else None


async def by_invitation(
    conn: Connection, application_id: str, invitation_id: str
) -> Conversation | None:
    row = await conn.fetchrow(
        f"""select {_COLUMNS} from ucwa_conversations
            where application_id = $1 and invitation_id = $2""",
        application_id,
        invitation_id,
    )
    return _conversation(row) if row else None


async def by_operation(
    conn: Connection, application_id: str, operation_id: str
) -> Conversation | None:
    row = await conn.fetchrow(
        f"""select {_COLUMNS} from ucwa_conversations
            where application_id = $1 and operation_id = $2""",
        application_id,
        operation_id,
    )
    return _conversation(row) if row else None


async def of_application(conn: Connection, application_id: str) -> list[Conversation]:
    """Oldest first."""
    rows = await conn.fetch(
        f"""select {_COLUMNS} from ucwa_conversations
            where application_id = $1 order by created_at, meeting_id""",
        application_id,
    )
    return [_conversation(row) for row in rows]


async def waiting_since(conn: Connection, before: datetime) -> list[tuple[UUID, UUID]]:
    """(meeting, channel) of applications that came to a lobby before then and still wait."""
    rows = await conn.fetch(
        """select c.meeting_id, c.queue_id from ucwa_conversations c
           join queue_entries q on q.meeting_id = c.meeting_id and q.queue_id = c.queue_id
           where q.queued_at < $1""",
        before,
    )
    return [(row["meeting_id"], row["queue_id"]) for row in rows]


def _conversation(row: asyncpg.Record) -> Conversation:
    return Conversation(
        application_id=row["application_id"],
        meeting_id=row["meeting_id"],
        user_id=row["user_id"],
        queue_id=row["queue_id"],
        anonymous=row["anonymous"],
        created_at=row["created_at"],
        invitation=InvitationView(
            id=row["invitation_id"],
            operation_id=row["operation_id"],
            subject=row["subject"],
            importance=Importance(row["importance"]),
            thread_id=row["thread_id"],
            online_meeting_uri=row["online_meeting_uri"],
            anonymous_display_name=row["anonymous_display_name"],
        ),
    )
