"""Where conversations and what belongs to them are, below an application. A conversation has its meeting's id."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from conference.ucwa.application import Application
from conference.ucwa.engine.resource import Link, Target

COMMUNICATION = "communication"
CONVERSATIONS = f"{COMMUNICATION}/conversations"


def for_instance(address: str, application: Application) -> str:
    """An address at which it matters which instance of the application asks."""
    if not application.instance_id:
        return address
    return f"{address}?{urlencode({'instanceId': application.instance_id})}"


def conversation(meeting_id: UUID) -> str:
    return f"{CONVERSATIONS}/{meeting_id}"


def local_participant(meeting_id: UUID) -> str:
    return f"{conversation(meeting_id)}/localParticipant"


def online_meeting(meeting_id: UUID) -> str:
    return f"{conversation(meeting_id)}/onlineMeeting"


def participant(meeting_id: UUID, user_id: UUID) -> str:
    return f"{conversation(meeting_id)}/participants/{user_id}"


def media(meeting_id: UUID) -> str:
    return f"{conversation(meeting_id)}/mediaNegotiation"


def invitation(invitation_id: str) -> str:
    return f"{COMMUNICATION}/invitations/{invitation_id}"


def link(target: Target) -> Link:
    return Link(target.href, title=target.title)
