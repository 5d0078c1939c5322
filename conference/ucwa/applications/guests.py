"""Who is in a meeting with a token for that meeting alone."""

from __future__ import annotations

from uuid import UUID

from conference.storage.meetings import Connection


async def anonymous_users(conn: Connection, meeting_id: UUID) -> frozenset[UUID]:
    rows = await conn.fetch(
        "select user_id from ucwa_conversations where meeting_id = $1 and anonymous", meeting_id
    )
    return frozenset(row["user_id"] for row in rows)
