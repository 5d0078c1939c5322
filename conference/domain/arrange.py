"""How a meeting's organizer arranges it: its name, who is in it, who leads, until when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from conference.domain import waiting_room
from conference.domain.door import Door, Visitor
from conference.domain.meeting import Change, Command, Meeting
from conference.domain.policy import require_owner
from schemas.terms import QueueStatus, UserType


class Arrange(Command, frozen=True, kw_only=True):
    """The organizer decides anew. `leaders` and `attendees` are those on the door's lists whom we know;
    `released` were on the lists before, as what they are no longer; `waiting`: those in the waiting room."""

    by: UUID
    name: str
    expiration: datetime | None
    door: Door
    leaders: frozenset[UUID] = frozenset()
    attendees: frozenset[UUID] = frozenset()
    released: frozenset[UUID] = frozenset()
    waiting: Mapping[UUID, Visitor] = {}


def arrange(meeting: Meeting, command: Arrange, now: datetime) -> Change:
    """Whoever is in the meeting stays in; who waits and would walk in now is let in. Raises Forbidden for others
    than the owner."""
    require_owner(meeting, command.by)
    members = {**_remaining(meeting, command)}
    for user in command.attendees:
        members.setdefault(user, UserType.REGISTERED)
    for user in command.leaders | {meeting.owner_id}:
        members[user] = UserType.MODERATOR
    changed = replace(
        meeting,
        name=command.name,
        expiration=command.expiration,
        door=command.door,
        members=members,
    )
    return waiting_room.look_again(changed, command.waiting, now)


def _remaining(meeting: Meeting, command: Arrange) -> dict[UUID, UserType]:
    """The access list without the released; one who is in the meeting, or was let in, stays on it for now."""
    let_in = {
        entry.user_id for entry in meeting.queue.values() if entry.status is QueueStatus.ACCEPTED
    }
    stay = let_in | meeting.participants.keys()
    return {
        user: UserType.REGISTERED if user in command.released else role
        for user, role in meeting.members.items()
        if user not in command.released or user in stay
    }
