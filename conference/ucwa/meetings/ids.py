"""The ids of online meetings, and the row that ties them to a meeting: given once, never changed."""

from __future__ import annotations

import secrets
import string
from uuid import UUID

from msgspec.structs import replace

from conference.domain.meeting import Meeting
from conference.services.changes import no_such_meeting
from conference.storage.meetings import Connection
from conference.ucwa.meetings import store as rows
from conference.ucwa.meetings.rules import Defaults, Details

_KEY_ALPHABET = string.ascii_uppercase + string.digits
_KEY_LENGTH = 8
_LEAST_CONFERENCE_ID = 100_000_000
"""All have the same length, for people who type them."""
_TRIES = 5
"""For ids that nobody has: the first ones are taken once in a long while."""


def plain_details(meeting_id: UUID, owner_id: UUID, defaults: Defaults) -> Details:
    return Details(
        meeting_id=meeting_id,
        owner_id=owner_id,
        online_meeting_id=_new_key(),
        conference_id=_new_conference_id(),
        entry_exit_announcement=defaults.entry_exit_announcement,
        phone_user_admission=defaults.phone_user_admission,
    )


async def adopt(conn: Connection, meeting: Meeting, defaults: Defaults) -> Details:
    """The details of a meeting that another family made; two that look first at once find the same."""
    details = plain_details(meeting.id, meeting.owner_id, defaults)
    return await insert(conn, replace(details, lasting=True), meeting)


async def insert(conn: Connection, details: Details, meeting: Meeting) -> Details:
    """These, or those that the meeting has by now. Raises NotFound when the meeting is gone."""
    for _ in range(_TRIES):
        if await rows.insert(conn, details, meeting.created_at):
            return details
        if known := await rows.of_meeting(conn, meeting.id):
            return known
        details = replace(details, online_meeting_id=_new_key(), conference_id=_new_conference_id())
    raise no_such_meeting()


async def find(conn: Connection, online_meeting_id: str) -> Details | None:
    """By the id in any case; what can't be one is nobody's."""
    key = online_meeting_id.upper()
    if len(key) != _KEY_LENGTH or not set(key) <= set(_KEY_ALPHABET):
        return None
    return await rows.by_id(conn, key)


def _new_key() -> str:
    return "".join(secrets.choice(_KEY_ALPHABET) for _ in range(_KEY_LENGTH))


def _new_conference_id() -> str:
    return str(_LEAST_CONFERENCE_ID + secrets.randbelow(9 * _LEAST_CONFERENCE_ID))
