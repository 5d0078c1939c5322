"""Extensions of online meetings, and what their readers and writers are in the meeting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

import asyncpg
import msgspec

from conference.storage.meetings import Connection
from conference.ucwa.meetings.extension_rules import Extension, ExtensionType, Role
from schemas.terms import UserType

_properties_in = msgspec.json.Decoder(dict[str, str])
_properties_out = msgspec.json.Encoder()


async def role_of(
    conn: Connection, meeting_id: UUID, user_id: UUID, *, lock: bool = False
) -> Role | None:
    """None: nobody in this meeting, or there is no such meeting. `lock`: whoever writes to the meeting's extensions
    takes turns, until the transaction ends."""
    row = await conn.fetchrow(
        f"""select owner_id, members.role, participants.user_id is not null as inside
            from meetings m
            left join members on members.meeting_id = m.id and members.user_id = $2
            left join participants on participants.meeting_id = m.id and participants.user_id = $2
            where m.id = $1 {"for update of m" if lock else ""}""",
        meeting_id,
        user_id,
    )
    if row is None:
        return None
    if row["owner_id"] == user_id:
        return "organizer"
    if row["role"] == UserType.MODERATOR.value:
        return "leader"
    return "participant" if row["inside"] else None


async def of_meetings(
    conn: Connection, meeting_ids: Collection[UUID]
) -> dict[UUID, list[Extension]]:
    """In the order in which they came."""
    rows = await conn.fetch(
        """select meeting_id, extension_id, type, properties from online_meeting_extensions
           where meeting_id = any($1) order by position""",
        list(meeting_ids),
    )
    found: dict[UUID, list[Extension]] = defaultdict(list)
    for row in rows:
        found[row["meeting_id"]].append(_extension(row))
    return found


def _extension(row: asyncpg.Record) -> Extension:
    return Extension(
        id=row["extension_id"],
        type=ExtensionType(row["type"]),
        properties=_properties_in.decode(row["properties"]),
    )


async def insert(conn: Connection, meeting_id: UUID, extension: Extension) -> None:
    await conn.execute(
        """insert into online_meeting_extensions (meeting_id, extension_id, type, properties)
           values ($1, $2, $3, $4)""",
        meeting_id,
        extension.id,
        extension.type.value,
        _json(extension),
    )


async def update(
    conn: Connection, meeting_id: UUID, extension_id: str, extension: Extension
) -> None:
    """`extension_id`: what it was called so far."""
    await conn.execute(
        """update online_meeting_extensions set extension_id = $3, type = $4, properties = $5
           where meeting_id = $1 and extension_id = $2""",
        meeting_id,
        extension_id,
        extension.id,
        extension.type.value,
        _json(extension),
    )


async def delete(conn: Connection, meeting_id: UUID, extension_id: str) -> None:
    await conn.execute(
        "delete from online_meeting_extensions where meeting_id = $1 and extension_id = $2",
        meeting_id,
        extension_id,
    )


def _json(extension: Extension) -> str:
    return _properties_out.encode(extension.properties).decode()
