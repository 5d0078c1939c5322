"""mediaNegotiation: how somebody in a conversation sends and receives, with addresses of the Meeting API's calls.

A participant has up to four connections (see docs/architecture.md). Each is a mediaChannel; what comes for it (an
answer, an offer, what is subscribed) is an `updated` event with the SDP in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from conference.errors import NotFound
from conference.ucwa.application import Application
from conference.ucwa.conversations import hrefs
from conference.ucwa.conversations.path import EITHER, conversation_id
from conference.ucwa.conversations.service import ConversationService
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.resource import Link, NewsItem, Resource, Target, Value
from schemas.events import (
    AudioAnswered,
    Event,
    MediaType,
    ParticipantSubscribed,
    SdpAnswered,
    SdpOffered,
)

Channel = Literal["audio", "video", "screen", "inbound", "subscriptions"]

_CALLS: dict[Channel, dict[str, str]] = {
    "audio": {"offer": "audio/offer", "switch": "audio"},
    "video": {"switch": "media"},
    "screen": {"switch": "media"},
    "inbound": {"answer": "media/answer"},
    "subscriptions": {"subscribe": "media/subscribe"},
}
"""What is PUT where, below `/meetings/{meetingId}`, with the bodies of that API."""

_CHANNEL: dict[MediaType, Channel] = {"VIDEO": "video", "SCREEN": "screen"}


class MediaViews:
    def __init__(self, service: ConversationService) -> None:
        self._service = service

    async def get(self, call: Call) -> Reply:
        return Reply(resource=negotiation(await self._meeting(call)))

    async def channel(self, call: Call) -> Reply:
        meeting_id = await self._meeting(call)
        for channel in _CALLS:
            if channel == call.params["channel"]:
                return Reply(resource=media_channel(meeting_id, channel))
        raise NotFound("there is no such media channel")

    async def _meeting(self, call: Call) -> UUID:
        found = await self._service.get(call.app, conversation_id(call))
        if found.sight.standing != "in":
            raise NotFound("you are not in the meeting yet")
        return found.meeting.id


def negotiation(meeting_id: UUID) -> Resource:
    return Resource(
        rel="mediaNegotiation",
        href=hrefs.media(meeting_id),
        links={"conversation": Link(hrefs.conversation(meeting_id))},
        embedded={"mediaChannel": [media_channel(meeting_id, channel) for channel in _CALLS]},
    )


def media_channel(
    meeting_id: UUID, channel: Channel, more: Mapping[str, Value] | None = None
) -> Resource:
    """`more`: what an event brings, as `sdp` and its `sdpType`."""
    calls = _CALLS[channel].items()
    return Resource(
        rel="mediaChannel",
        href=f"{hrefs.media(meeting_id)}/{channel}",
        properties={"channel": channel, **(more or {})},
        links={rel: Link(f"/meetings/{meeting_id}/{path}") for rel, path in calls},
    )


# --- events -----------------------------------------------------------------------------------


def audio_answered(event: AudioAnswered, application: Application) -> list[NewsItem]:
    return _sdp(event.meeting_id, "audio", "answer", event.sdp)


def answered(event: SdpAnswered, application: Application) -> list[NewsItem]:
    return _sdp(event.meeting_id, _CHANNEL[event.media_type], "answer", event.sdp)


def offered(event: SdpOffered, application: Application) -> list[NewsItem]:
    return _sdp(event.meeting_id, "inbound", "offer", event.sdp)


def subscribed(event: ParticipantSubscribed, application: Application) -> list[NewsItem]:
    streams: Sequence[Mapping[str, str]] = [
        {"type": stream.type, "mid": stream.mid, "userId": str(stream.user_id)}
        for stream in event.streams
    ]
    return [_news(event.meeting_id, "subscriptions", {"streams": streams})]


def _sdp(meeting_id: UUID, channel: Channel, kind: str, sdp: str) -> list[NewsItem]:
    return [_news(meeting_id, channel, {"sdpType": kind, "sdp": sdp})]


def _news(meeting_id: UUID, channel: Channel, more: Mapping[str, Value]) -> NewsItem:
    resource = media_channel(meeting_id, channel, more)
    return NewsItem(
        sender=Target(rel="conversation", href=hrefs.conversation(meeting_id)),
        type="updated",
        link=Target(rel="mediaChannel", href=resource.href),
        resource=resource,
    )


# A renderer takes the one event type it is filed under, which a dict's type cannot say: hence Any.
NEWS: dict[type[Event], Callable[[Any, Application], list[NewsItem]]] = {
    AudioAnswered: audio_answered,
    SdpAnswered: answered,
    SdpOffered: offered,
    ParticipantSubscribed: subscribed,
}


def endpoints(views: MediaViews) -> list[Endpoint]:
    path = "communication/conversations/{conversationId}/mediaNegotiation"
    return [
        Endpoint(
            method="GET",
            path=path,
            view=views.get,
            rel="mediaNegotiation",
            summary="How to send and receive media; its links are calls of the Meeting API",
            scopes=EITHER,
        ),
        Endpoint(
            method="GET",
            path=f"{path}/{{channel}}",
            view=views.channel,
            rel="mediaChannel",
            summary="One connection: audio, video, screen, inbound; or the subscriptions",
            scopes=EITHER,
        ),
    ]
