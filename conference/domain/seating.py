"""Taking a place: on the access list, and in the meeting."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from conference.domain.facts import Outgoing
from conference.domain.meeting import Meeting, Participant, with_item, without
from schemas.events import ParticipantJoined
from schemas.terms import UserType


def with_member(meeting: Meeting, user: UUID, role: UserType) -> Meeting:
    """On the access list as `role` at least."""
    if user in meeting.members and role is not UserType.MODERATOR:
        return meeting
    return replace(meeting, members=with_item(meeting.members, user, role))


def seat(
    meeting: Meeting, participant: Participant, now: datetime
) -> tuple[Meeting, list[Outgoing]]:
    user = participant.user_id
    seated = replace(
        meeting,
        participants=with_item(meeting.participants, user, participant),
        queue=without(meeting.queue, user),
        admitted=without(meeting.admitted, user),
    )
    event = ParticipantJoined(sent_date=now, meeting_id=meeting.id, user_id=user)
    return seated, [Outgoing(event=event, audience=meeting.to_members())]
