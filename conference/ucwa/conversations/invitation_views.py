"""onlineMeetingInvitation: the operation of joining, from the POST until its user is in or turned away."""

from __future__ import annotations

from uuid import UUID

from conference.ucwa.conversations import hrefs
from conference.ucwa.conversations.facts import InvitationState, InvitationView, Modality, Person
from conference.ucwa.conversations.participant_views import local_participant
from conference.ucwa.conversations.path import EITHER
from conference.ucwa.conversations.service import ConversationService
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.resource import Link, Resource, Value


class InvitationViews:
    def __init__(self, service: ConversationService) -> None:
        self._service = service

    async def get(self, call: Call) -> Reply:
        found = await self._service.by_invitation(call.app, call.params["invitationId"])
        inside = found.sight.standing == "in"
        state = InvitationState.CONNECTED if inside else InvitationState.CONNECTING
        asked = found.conversation.invitation
        own = found.people.get(call.app.user_id)
        return Reply(resource=invitation(found.meeting.id, asked, state, own))

    async def cancel(self, call: Call) -> Reply:
        await self._service.cancel(call.app, call.params["invitationId"])
        return Reply(status=204)


def invitation(
    meeting_id: UUID, asked: InvitationView, state: InvitationState, sender: Person | None = None
) -> Resource:
    """Only what is open can be cancelled, and what failed leads nowhere. `sender`: the user, where their name is at
    hand."""
    href = hrefs.invitation(asked.id)
    properties: dict[str, Value] = {
        "availableModalities": [modality.value for modality in Modality],
        "direction": "Outgoing",
        "importance": asked.importance.value,
        "onlineMeetingUri": asked.online_meeting_uri,
        "operationId": asked.operation_id,
        "state": state.value,
        "subject": asked.subject,
        "threadId": asked.thread_id,
        "to": asked.online_meeting_uri,
    }
    if asked.anonymous_display_name:
        properties["anonymousDisplayName"] = asked.anonymous_display_name
    links: dict[str, Link] = {}
    if state in (InvitationState.CONNECTING, InvitationState.CONNECTED):
        links["conversation"] = Link(hrefs.conversation(meeting_id))
        links["from"] = Link(hrefs.local_participant(meeting_id))
    if state is InvitationState.CONNECTING:
        links["cancel"] = Link(f"{href}/cancel")
    own = local_participant(meeting_id, sender, rel="participant") if sender else None
    return Resource(
        rel="onlineMeetingInvitation",
        href=href,
        properties=properties,
        links=links,
        embedded={"from": own} if own else {},
    )


def endpoints(views: InvitationViews) -> list[Endpoint]:
    one = "communication/invitations/{invitationId}"
    return [
        Endpoint(
            method="GET",
            path=one,
            view=views.get,
            rel="onlineMeetingInvitation",
            summary="How joining goes: Connecting until you are in, also in the lobby",
            scopes=EITHER,
        ),
        Endpoint(
            method="POST",
            path=f"{one}/cancel",
            view=views.cancel,
            rel="cancel",
            summary="Withdraw from the lobby",
            scopes=EITHER,
            returns=204,
        ),
    ]
