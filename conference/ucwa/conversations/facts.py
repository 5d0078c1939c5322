"""What a UCWA application is told of its conversations: one event per change, with all that rendering needs.

Names follow the UCWA resources conversation, participant and onlineMeetingInvitation.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from schemas.events import MeetingEvent
from schemas.terms import Term
from schemas.wire import Wire


class ConversationState(Term):
    CONNECTING = "Connecting"
    IN_LOBBY = "InLobby"
    CONFERENCED = "Conferenced"
    DISCONNECTED = "Disconnected"


class InvitationState(Term):
    """`CONNECTING` also in the lobby. `DECLINED`: by a leader; `CANCELLED`: by its user."""

    CONNECTING = "Connecting"
    CONNECTED = "Connected"
    DECLINED = "Declined"
    CANCELLED = "Cancelled"
    FAILED = "Failed"


class Importance(Term):
    NORMAL = "Normal"
    URGENT = "Urgent"
    EMERGENCY = "Emergency"


class Modality(Term):
    AUDIO = "Audio"
    VIDEO = "Video"
    APPLICATION_SHARING = "ApplicationSharing"


Place = Literal["lobby", "attendees", "leaders"]
"""The collection of a conversation that somebody is in."""

SourceNetwork = Literal["SameEnterprise", "Federated", "Everyone"]
"""Whose company somebody is of: the organizer's, another, nobody's."""

StepType = Literal["started", "added", "updated", "deleted", "completed"]
Subject = Literal[
    "onlineMeetingInvitation",
    "conversation",
    "localParticipant",
    "onlineMeeting",
    "participant",
    "participantAudio",
    "participantVideo",
    "participantApplicationSharing",
    "mediaNegotiation",
]


class Step(Wire, frozen=True, kw_only=True):
    """One event as the application reads it. `user_id`: whose; `inside`: in which collection."""

    what: Subject
    type: StepType
    user_id: UUID | None = None
    inside: Place | None = None


class Person(Wire, frozen=True, kw_only=True):
    """Somebody in a meeting or its lobby. `uri`: a SIP URI; `org`: their organisation, which nobody is shown;
    `modalities`: what they have on; `work_phone`, `other_phone`: tel: URIs, as far as their card shows them."""

    user_id: UUID
    name: str
    uri: str
    org: str = ""
    place: Place
    organizer: bool = False
    anonymous: bool = False
    source_network: SourceNetwork | None = None
    work_phone: str = ""
    other_phone: str = ""
    modalities: tuple[Modality, ...] = ()

    @property
    def in_lobby(self) -> bool:
        return self.place == "lobby"


class ConversationView(Wire, frozen=True, kw_only=True):
    """A meeting as one application in it sees it. `leader`: whether its user may admit, eject and promote."""

    meeting_id: UUID
    state: ConversationState
    subject: str
    importance: Importance
    thread_id: str
    created: datetime
    expiration: datetime | None = None
    participant_count: int = 0
    modalities: tuple[Modality, ...] = ()
    leader: bool = False


class InvitationView(Wire, frozen=True, kw_only=True):
    """An operation of joining, as its application asked for it."""

    id: str
    operation_id: str
    subject: str
    importance: Importance
    thread_id: str
    online_meeting_uri: str
    anonymous_display_name: str = ""


Ending = Literal["Denied", "Ejected", "Ended", "Canceled", "Removed", "Timeout"]
"""Why a conversation is over: the subcode of the reason."""


class ConversationNews(MeetingEvent, frozen=True, kw_only=True, tag="UCWA_CONVERSATION"):
    """`people`: those whom the steps are about; `contacts`: of them, whom the viewer finds among people; `gone`: the
    names of those who are not there any more.
    `conversation` is None once it is over; `ending` says why, unless its user ended it."""

    viewer: UUID
    steps: tuple[Step, ...]
    conversation: ConversationView | None = None
    people: tuple[Person, ...] = ()
    gone: Mapping[UUID, str] = {}
    contacts: tuple[UUID, ...] = ()
    invitation: InvitationView | None = None
    ending: Ending | None = None
