"""Conversations: the meetings that an application is in, or whose lobby it is in."""

from __future__ import annotations

from enum import StrEnum

from conference.ucwa.conversations import hrefs
from conference.ucwa.conversations.facts import ConversationState, ConversationView
from conference.ucwa.conversations.path import EITHER, RECEIVE, conversation_id
from conference.ucwa.conversations.service import ConversationService
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.resource import Link, Resource, Value


class Filter(StrEnum):
    """Of the collection. What is not active is not there any more."""

    ACTIVE = "active"
    ALL = "all"


class ConversationViews:
    def __init__(self, service: ConversationService) -> None:
        self._service = service

    async def all(self, call: Call) -> Reply:
        call.query.choice("filter", Filter)
        found = await self._service.of(call.app)
        links = [Link(hrefs.conversation(one.meeting_id)) for one in found]
        return Reply(
            resource=Resource(
                rel="conversations", href=hrefs.CONVERSATIONS, links={"conversation": links}
            )
        )

    async def one(self, call: Call) -> Reply:
        found = await self._service.get(call.app, conversation_id(call))
        return Reply(resource=conversation(found.view))

    async def leave(self, call: Call) -> Reply:
        await self._service.leave(call.app, conversation_id(call))
        return Reply(status=204)


def conversation(view: ConversationView) -> Resource:
    """From the lobby only the meeting and oneself can be reached."""
    href = hrefs.conversation(view.meeting_id)
    properties: dict[str, Value] = {
        "activeModalities": [modality.value for modality in view.modalities],
        "created": view.created,
        "importance": view.importance.value,
        "participantCount": view.participant_count,
        "state": view.state.value,
        "subject": view.subject,
        "threadId": view.thread_id,
    }
    if view.expiration is not None:
        properties["expirationTime"] = view.expiration
    links = {
        "localParticipant": Link(hrefs.local_participant(view.meeting_id)),
        "onlineMeeting": Link(hrefs.online_meeting(view.meeting_id)),
        "participants": Link(f"{href}/participants"),
    }
    if view.state is ConversationState.CONFERENCED:
        links["attendees"] = Link(f"{href}/attendees")
        links["leaders"] = Link(f"{href}/leaders")
        links["mediaNegotiation"] = Link(hrefs.media(view.meeting_id))
    if view.leader:
        links["lobby"] = Link(f"{href}/lobby")
    return Resource(rel="conversation", href=href, properties=properties, links=links)


def endpoints(views: ConversationViews) -> list[Endpoint]:
    one = "communication/conversations/{conversationId}"
    return [
        Endpoint(
            method="GET",
            path="communication/conversations",
            view=views.all,
            rel="conversations",
            summary="The meetings that you are in, or wait for",
            scopes=EITHER,
            query={"filter": "active (all there are) or all"},
        ),
        Endpoint(
            method="GET",
            path=one,
            view=views.one,
            rel="conversation",
            summary="A meeting as you are in it",
            scopes=RECEIVE,
        ),
        Endpoint(
            method="DELETE",
            path=one,
            view=views.leave,
            rel="conversation",
            summary="Leave the meeting, or its lobby",
            scopes=RECEIVE,
            returns=204,
        ),
    ]
