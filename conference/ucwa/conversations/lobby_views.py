"""The lobby of a meeting: those who wait, as its leaders see them. It is the meeting's waiting room."""

from __future__ import annotations

from conference.errors import Forbidden
from conference.ucwa.conversations import hrefs
from conference.ucwa.conversations.participant_views import participant
from conference.ucwa.conversations.path import RECEIVE, conversation_id
from conference.ucwa.conversations.service import ConversationService, Open
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.resource import Resource


class LobbyViews:
    def __init__(self, service: ConversationService) -> None:
        self._service = service

    async def get(self, call: Call) -> Reply:
        found = await self._service.with_people(call.app, conversation_id(call))
        if not found.view.leader:
            raise Forbidden("only leaders of the meeting see its lobby")
        return Reply(resource=lobby(found))


def lobby(found: Open) -> Resource:
    """Longest waiting first."""
    meeting_id, viewer = found.meeting.id, found.conversation.user_id
    waiting = [
        participant(
            meeting_id, person, viewer, leader=True, contact=person.user_id in found.contacts
        )
        for person in found.people.values()
        if person.in_lobby and person.user_id in found.sight.people
    ]
    return Resource(
        rel="lobby",
        href=f"{hrefs.conversation(meeting_id)}/lobby",
        embedded={"participant": waiting},
    )


def endpoints(views: LobbyViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path="communication/conversations/{conversationId}/lobby",
            view=views.get,
            rel="lobby",
            summary="Who waits to be let in: leaders only",
            scopes=RECEIVE,
        )
    ]
