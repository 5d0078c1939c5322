"""How UCWA applications want to be reached."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from conference.storage.meetings import Connection
from conference.ucwa.applications.communication import (
    AudioPreference,
    Communication,
    GenericPolicy,
    IncomingModality,
    MessageFormat,
)

_COLUMNS = """supported_modalities, supported_message_formats, audio_preference, phone_number,
    conversation_history"""


async def read(conn: Connection, application_id: str) -> Communication:
    """The defaults when the application never said."""
    row = await conn.fetchrow(
        f"select {_COLUMNS} from ucwa_communications where application_id = $1", application_id
    )
    return _communication(row) if row else Communication()


async def lock(conn: Connection, application_id: str) -> Communication:
    """As `read`, and nobody else changes it before this transaction ends."""
    await conn.execute(
        "select from ucwa_applications where id = $1 for no key update", application_id
    )
    return await read(conn, application_id)


async def save(conn: Connection, application_id: str, given: Communication) -> None:
    await conn.execute(
        f"""insert into ucwa_communications (application_id, {_COLUMNS})
            values ($1, $2, $3, $4, $5, $6)
            on conflict (application_id) do update set
                supported_modalities = excluded.supported_modalities,
                supported_message_formats = excluded.supported_message_formats,
                audio_preference = excluded.audio_preference,
                phone_number = excluded.phone_number,
                conversation_history = excluded.conversation_history""",
        application_id,
        _values(given.supported_modalities),
        _values(given.supported_message_formats),
        given.audio_preference.value,
        given.phone_number,
        given.conversation_history.value,
    )


def _values(terms: Sequence[IncomingModality | MessageFormat]) -> list[str]:
    return [term.value for term in terms]


def _communication(row: asyncpg.Record) -> Communication:
    return Communication(
        supported_modalities=tuple(map(IncomingModality, row["supported_modalities"])),
        supported_message_formats=tuple(map(MessageFormat, row["supported_message_formats"])),
        audio_preference=AudioPreference(row["audio_preference"]),
        phone_number=row["phone_number"],
        conversation_history=GenericPolicy(row["conversation_history"]),
    )
