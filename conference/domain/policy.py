"""Who may do what. Each rule raises the domain error that its refusal is."""

from __future__ import annotations

from uuid import UUID

from conference.domain.meeting import Meeting, Participant
from conference.errors import Forbidden, NotFound


def require_member(meeting: Meeting, user: UUID) -> None:
    """Raises Forbidden for anyone who is not on the access list."""
    if user not in meeting.members:
        raise Forbidden("you are not on this meeting's access list", code="not_a_member")


def require_moderator(meeting: Meeting, user: UUID) -> None:
    """Raises Forbidden for anyone but the meeting's moderators."""
    if not meeting.is_moderator(user):
        raise Forbidden("only a moderator of this meeting may do that", code="not_a_moderator")


def require_owner(meeting: Meeting, user: UUID) -> None:
    """Raises Forbidden for anyone but the meeting's owner."""
    if user != meeting.owner_id:
        raise Forbidden("only the owner of this meeting may do that", code="not_the_owner")


def require_participant(meeting: Meeting, user: UUID) -> Participant:
    """The user's participation. Raises NotFound when they are not in the meeting."""
    participant = meeting.participants.get(user)
    if participant is None:
        raise NotFound("the user is not in this meeting", code="not_a_participant")
    return participant
