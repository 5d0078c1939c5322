"""What a change means for who leads a meeting: told to those it concerns, whichever command it was."""

from __future__ import annotations

from datetime import datetime

from conference.domain.facts import Audience, Outgoing
from conference.domain.meeting import Meeting
from schemas.events import ModerationChanged, ParticipantRoleChanged
from schemas.terms import UserType


def moderation_told(before: Meeting, after: Meeting | None, now: datetime) -> list[Outgoing]:
    """New roles of those who stay in the meeting; and where there is a waiting room, that the first moderator came
    or the last one went. Who comes or goes by this very change reads the state, or needs it no more."""
    if after is None:
        return []
    stay = before.participants.keys() & after.participants.keys()
    inside = Audience(users=frozenset(stay))
    told = [
        Outgoing(
            event=ParticipantRoleChanged(
                sent_date=now,
                meeting_id=after.id,
                user_id=user,
                user_type=after.members.get(user, UserType.REGISTERED),
            ),
            audience=inside,
        )
        for user in after.participants
        if user in stay and before.is_moderator(user) != after.is_moderator(user)
    ]
    listeners = inside | after.to_waiting()
    if after.has_waiting_room and before.moderated != after.moderated and listeners.users:
        event = ModerationChanged(sent_date=now, meeting_id=after.id, moderated=after.moderated)
        told.append(Outgoing(event=event, audience=listeners))
    return told
