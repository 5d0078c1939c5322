"""Events of conversations: each step that was told, as the application reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never
from uuid import UUID

import msgspec

from conference.ucwa.application import Application
from conference.ucwa.applications.communication import CommunicationChanged
from conference.ucwa.conversations import (
    communication_views as communication,
)
from conference.ucwa.conversations import (
    hrefs,
)
from conference.ucwa.conversations import (
    media_views as media,
)
from conference.ucwa.conversations.facts import (
    ConversationNews,
    ConversationState,
    Ending,
    InvitationState,
    Person,
    Step,
)
from conference.ucwa.conversations.invitation_views import invitation
from conference.ucwa.conversations.participant_views import (
    MODALITY_REL,
    local_participant,
    modality_href,
    participant,
    participant_modality,
)
from conference.ucwa.conversations.views import conversation
from conference.ucwa.engine.resource import NewsItem, Reason, Resource, Target
from schemas.events import Event

_MODALITY = {rel: modality for modality, rel in MODALITY_REL.items()}

_WHY: dict[Ending, tuple[str, str]] = {
    "Denied": ("Forbidden", "a leader of the meeting turned you away"),
    "Ejected": ("Forbidden", "a leader took you out of the meeting"),
    "Removed": ("Conflict", "you are no longer in the meeting with this client"),
    "Ended": ("Gone", "the meeting has ended"),
    "Canceled": ("Informational", "you withdrew"),
    "Timeout": ("Timeout", "nobody let you in; ask again"),
}
_FAILED: dict[Ending, InvitationState] = {
    "Denied": InvitationState.DECLINED,
    "Ejected": InvitationState.DECLINED,
    "Removed": InvitationState.FAILED,
    "Ended": InvitationState.FAILED,
    "Canceled": InvitationState.CANCELLED,
    "Timeout": InvitationState.FAILED,
}
"""How an invitation stands that did not lead into the meeting."""


def told(event: ConversationNews, application: Application) -> list[NewsItem]:
    people = {person.user_id: person for person in event.people}
    communications = communication.sender(application)
    return [_item(event, step, people, communications) for step in event.steps]


def _item(
    event: ConversationNews, step: Step, people: dict[UUID, Person], communications: Target
) -> NewsItem:
    meeting_id = event.meeting_id
    sender = Target(rel="conversation", href=hrefs.conversation(meeting_id))
    match step.what:
        case "onlineMeetingInvitation":
            return _invitation(event, step, people.get(event.viewer), communications)
        case "conversation":
            return _conversation(event, step, communications)
        case "onlineMeeting":
            link = Target(rel="onlineMeeting", href=hrefs.online_meeting(meeting_id))
            return NewsItem(sender=sender, type=step.type, link=link, inside=sender)
        case "mediaNegotiation":
            link = Target(rel="mediaNegotiation", href=hrefs.media(meeting_id))
            again = media.negotiation(meeting_id)
            return NewsItem(sender=sender, type=step.type, link=link, resource=again)
        case "localParticipant":
            link = Target(rel="localParticipant", href=hrefs.local_participant(meeting_id))
            person = people.get(event.viewer) if step.type != "deleted" else None
            own = local_participant(meeting_id, person, rel="participant") if person else None
            return NewsItem(sender=sender, type=step.type, link=link, resource=own)
        case "participant":
            return _participant(event, step, people, sender)
        case "participantAudio" | "participantVideo" | "participantApplicationSharing":
            return _modality(event, step, people, sender)
        case _:
            assert_never(step.what)


def _invitation(
    event: ConversationNews, step: Step, own: Person | None, sender: Target
) -> NewsItem:
    """Completed with success in the meeting; with failure when the way there ended."""
    assert event.invitation is not None, "an event of joining carries its invitation"
    link = Target(rel="onlineMeetingInvitation", href=hrefs.invitation(event.invitation.id))
    if step.type != "completed":
        resource = invitation(event.meeting_id, event.invitation, InvitationState.CONNECTING, own)
        return NewsItem(sender=sender, type=step.type, link=link, resource=resource)
    state, why = InvitationState.CONNECTED, None
    if event.conversation is None:
        why = event.ending or "Canceled"
        state = _FAILED[why]
    return NewsItem(
        sender=sender,
        type="completed",
        link=link,
        status="Failure" if why else "Success",
        reason=_reason(why) if why else None,
        resource=invitation(event.meeting_id, event.invitation, state, own),
    )


def _conversation(event: ConversationNews, step: Step, sender: Target) -> NewsItem:
    """Added before anything is known of how joining ends: the state follows."""
    link = Target(rel="conversation", href=hrefs.conversation(event.meeting_id))
    if event.conversation is None:
        why = _reason(event.ending) if event.ending else None
        return NewsItem(sender=sender, type=step.type, link=link, reason=why)
    view = event.conversation
    if step.type == "added":
        view = msgspec.structs.replace(
            view,
            state=ConversationState.CONNECTING,
            participant_count=0,
            modalities=(),
            leader=False,
        )
    return NewsItem(sender=sender, type=step.type, link=link, resource=conversation(view))


def _participant(
    event: ConversationNews, step: Step, people: dict[UUID, Person], sender: Target
) -> NewsItem:
    assert step.user_id is not None, "a step about a participant says whose it is"
    person = people.get(step.user_id)
    return NewsItem(
        sender=sender,
        type=step.type,
        link=_link(event, step.user_id, person),
        inside=_inside(event, step),
        resource=_shown(event, person) if person and step.type != "deleted" else None,
    )


def _modality(
    event: ConversationNews, step: Step, people: dict[UUID, Person], sender: Target
) -> NewsItem:
    assert step.user_id is not None, "a step about a participant says whose it is"
    user, modality = step.user_id, _MODALITY[step.what]
    person = people.get(user)
    resource = None
    if person is not None and step.type != "deleted":
        resource = participant_modality(
            event.meeting_id, person, modality, event.viewer, leader=_leads(event)
        )
    return NewsItem(
        sender=sender,
        type=step.type,
        link=Target(rel=step.what, href=modality_href(event.meeting_id, user, modality)),
        inside=_link(event, user, person),
        resource=resource,
    )


def _link(event: ConversationNews, user: UUID, person: Person | None) -> Target:
    name = person.name if person else event.gone.get(user)
    href = hrefs.participant(event.meeting_id, user)
    return Target(rel="participant", href=href, title=name or None)


def _inside(event: ConversationNews, step: Step) -> Target | None:
    if step.inside is None:
        return None
    return Target(rel=step.inside, href=f"{hrefs.conversation(event.meeting_id)}/{step.inside}")


def _shown(event: ConversationNews, person: Person) -> Resource:
    return participant(
        event.meeting_id,
        person,
        event.viewer,
        leader=_leads(event),
        contact=person.user_id in event.contacts,
    )


def _leads(event: ConversationNews) -> bool:
    return event.conversation is not None and event.conversation.leader


def _reason(ending: Ending) -> Reason:
    code, message = _WHY[ending]
    return Reason(code=code, subcode=ending, message=message)


# A renderer takes the one event type it is filed under, which a dict's type cannot say: hence Any.
NEWS: dict[type[Event], Callable[[Any, Application], list[NewsItem]]] = {
    ConversationNews: told,
    CommunicationChanged: communication.changed,
    **media.NEWS,
}
