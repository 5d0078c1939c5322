"""The operations of the meetings family: the published ones under their own names, then ours."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from conference.api.meetings import paging
from conference.api.meetings.views import QUEUE_ID, MediaViews, MeetingViews
from conference.api.openapi import Operation, Parameter
from conference.services.media import MediaService
from conference.services.meetings import MeetingService
from schemas import meetings as wire

_BAD = "the body is not JSON, or a field is wrong, missing or unknown: `message` names it"
_NO_MEETING = "no such meeting"
_NOT_MEMBER = "you are not on the meeting's access list"
_NOT_MODERATOR = "you are not a moderator of the meeting"
_NOT_IN = "no such meeting, or you are not in it"
_TOO_MUCH = "the participant asks for more than its share of the media worker's time"
_MEDIA = "the media worker could not do it: `code` and `message` say why"


def _id(name: str, of: str) -> Parameter:
    return Parameter(
        name=name, place="path", type=UUID, description=f"identifier of the {of}", required=True
    )


_MEETING = _id("meetingId", "meeting")
_USER = _id("userId", "user")
_ROOM = _id("roomId", "room")


# what the types alone don't say
_SWITCH = Annotated[
    wire.MediaStreamSettings,
    Meta(
        extra_json_schema={
            "anyOf": [
                {"properties": {"enabled": {"const": False}}},
                {"properties": {"sdp": {"type": "string"}}, "required": ["sdp"]},
            ]
        }
    ),
]
_SUBSCRIPTION = Annotated[
    wire.SubscriptionUpdates,
    Meta(
        extra_json_schema={
            "anyOf": [
                {"properties": {"subscribe": {"minItems": 1}}},
                {"properties": {"unsubscribe": {"minItems": 1}}},
            ]
        }
    ),
]


def operations(meetings: MeetingService, media: MediaService) -> list[Operation]:
    views = MeetingViews(meetings)
    return [
        *_meetings(views),
        *_attendance(views),
        *_media(MediaViews(media)),
        *_access_list(views),
    ]


def _meetings(views: MeetingViews) -> list[Operation]:
    one = "/meetings/{meetingId}"
    return [
        Operation(
            id="getMeetingPublic",
            method="GET",
            path="/public/meetings/{meetingId}",
            handler=views.public,
            summary="Public data of a scheduled meeting",
            tag="meetings",
            parameters=[_MEETING],
            returns={200: wire.PublicMeeting},
            refuses={404: "no such meeting, or not a scheduled one"},
            public=True,
        ),
        Operation(
            id="getInvitation",
            method="GET",
            path="/public/join/{code}",
            handler=views.invitation,
            summary="The meeting that a join code leads to",
            tag="meetings",
            returns={200: wire.PublicInvitation},
            refuses={404: "no meeting has this join code"},
            public=True,
        ),
        Operation(
            id="listMeeting",
            method="GET",
            path="/meetings",
            handler=views.list,
            summary="Meetings that you have access to, oldest first",
            description=(
                f"{paging.MOST} at a time, or `limit`; where there are more the header `Link` has the address of the "
                'next, with rel="next".'
            ),
            tag="meetings",
            parameters=[
                Parameter(
                    name="limit", place="query", type=Annotated[int, Meta(ge=1, le=paging.MOST)]
                ),
                Parameter(
                    name="after",
                    place="query",
                    type=Annotated[str, Meta(pattern=paging.AFTER.pattern)],
                    description="as `Link` has it",
                ),
            ],
            returns={200: list[wire.Meeting]},
            refuses={400: "limit or after is not understood"},
        ),
        Operation(
            id="createMeeting",
            method="POST",
            path="/meetings",
            handler=views.create,
            summary="Create a meeting; you become its moderator",
            description=(
                "It is inactive until started. A scheduled meeting is removed once `expiration` is past "
                "and nobody is in it; a permanent one never is."
            ),
            tag="meetings",
            body=wire.NewMeetingData,
            gives={"meetingId": "$response.body#/id"},
            returns={200: wire.Meeting},
            refuses={
                400: _BAD,
                403: "the room has a meeting that you have no access to; or you have too many (LimitExceeded)",
                409: "the room has a meeting already",
            },
        ),
        Operation(
            id="getMeeting",
            method="GET",
            path=one,
            handler=views.get,
            summary="One meeting",
            tag="meetings",
            parameters=[_MEETING],
            returns={200: wire.Meeting},
            refuses={403: _NOT_MEMBER, 404: _NO_MEETING},
        ),
        Operation(
            id="getMeetingOfRoom",
            method="GET",
            path="/rooms/{roomId}/meeting",
            handler=views.of_room,
            summary="The meeting of a room",
            tag="meetings",
            parameters=[_ROOM],
            returns={200: wire.Meeting},
            refuses={403: _NOT_MEMBER, 404: "the room has no meeting"},
        ),
        Operation(
            id="deleteMeeting",
            method="DELETE",
            path=one,
            handler=views.delete,
            summary="Delete a meeting, active or not",
            description="For its moderators. At the published API's server any member may.",
            tag="meetings",
            parameters=[_MEETING],
            returns={204: None},
            refuses={
                403: f"{_NOT_MODERATOR}; an online meeting: you are not its owner",
                404: _NO_MEETING,
            },
        ),
        Operation(
            id="startMeeting",
            method="POST",
            path=f"{one}/start",
            handler=views.start,
            summary="Start a meeting; starting an active one changes nothing",
            tag="meetings",
            parameters=[_MEETING],
            returns={200: wire.Meeting},
            refuses={403: _NOT_MEMBER, 404: _NO_MEETING},
        ),
        Operation(
            id="stopMeeting",
            method="POST",
            path=f"{one}/stop",
            handler=views.stop,
            summary="Stop a meeting: everyone is out, the waiting room is cleared",
            description=(
                "A permanent meeting: any member may. A scheduled one, into which guests are let in, and an online "
                "meeting of UCWA: its moderators. At the published API's server any member may stop any."
            ),
            tag="meetings",
            parameters=[_MEETING],
            returns={200: wire.Meeting},
            refuses={
                403: f"{_NOT_MEMBER}; a scheduled or online meeting: you are not a moderator",
                404: _NO_MEETING,
            },
        ),
    ]


def _attendance(views: MeetingViews) -> list[Operation]:
    one = "/meetings/{meetingId}"
    return [
        Operation(
            id="joinMeeting",
            method="POST",
            path=f"{one}/join",
            handler=views.join,
            summary="Join a meeting, or its waiting room",
            description=(
                "Into a scheduled meeting moderators walk straight; everyone else waits until a moderator "
                "lets them in, and then joins again. An online meeting of UCWA lets in whom its organizer says, and "
                "the first one in starts it. Joining from another channel takes over from the first."
            ),
            tag="attendance",
            parameters=[
                _MEETING,
                Parameter(
                    name=QUEUE_ID,
                    place="header",
                    type=UUID,
                    description="a channel of yours, on which the meeting's events will come",
                    required=True,
                ),
            ],
            body=wire.JoinSettings,
            returns={200: wire.JoinMeetingResult},
            refuses={
                400: f"header {QUEUE_ID} is missing or no UUID; or: {_BAD}",
                403: f"the channel is not yours; or: {_NOT_MEMBER}",
                404: _NO_MEETING,
                409: "this channel has joined already",
                424: "the meeting is not active",
            },
        ),
        Operation(
            id="leaveMeeting",
            method="POST",
            path=f"{one}/leave",
            handler=views.leave,
            summary="Leave a meeting; the last one out stops it",
            tag="attendance",
            parameters=[_MEETING],
            returns={204: None},
            refuses={403: _NOT_MEMBER, 404: _NO_MEETING},
        ),
        Operation(
            id="getQueue",
            method="GET",
            path=f"{one}/queue",
            handler=views.queue,
            summary="Who is in the waiting room, longest waiting first",
            tag="attendance",
            parameters=[_MEETING],
            returns={200: wire.QueuedUsers},
            refuses={403: _NOT_MODERATOR, 404: _NO_MEETING},
        ),
        Operation(
            id="updateQueuedUser",
            method="POST",
            path=f"{one}/queue/{{userId}}",
            handler=views.update_queued,
            summary="Let someone in or turn them away; one may turn oneself away",
            tag="attendance",
            parameters=[_MEETING, _USER],
            body=wire.QueuedUserUpdate,
            returns={204: None},
            refuses={
                400: _BAD,
                403: _NOT_MODERATOR,
                404: "no such meeting, or the user is not in its waiting room",
            },
        ),
    ]


def _media(views: MediaViews) -> list[Operation]:
    one = "/meetings/{meetingId}"
    refuses = {400: _BAD, 404: _NOT_IN, 424: _MEDIA, 429: _TOO_MUCH}
    return [
        Operation(
            id="updateMediaStream",
            method="PUT",
            path=f"{one}/media",
            handler=views.switch,
            summary="Publish camera or screen, or stop",
            description=(
                "To publish, send the offer as `sdp`; the answer comes as MEETING_SDP_ANSWERED. Enabling again "
                "with a new offer negotiates anew."
            ),
            tag="media",
            parameters=[_MEETING],
            body=_SWITCH,
            returns={204: None},
            refuses={**refuses, 400: f"enabled without sdp; or: {_BAD}"},
        ),
        Operation(
            id="answerRtcMediaStream",
            method="PUT",
            path=f"{one}/media/answer",
            handler=views.answer,
            summary="Answer the last MEETING_SDP_OFFERED",
            tag="media",
            parameters=[_MEETING],
            body=wire.SessionDescriptionProtocol,
            returns={204: None},
            refuses={**refuses, 403: _NOT_MEMBER},
        ),
        Operation(
            id="updateSubscriptionsMediaStream",
            method="PUT",
            path=f"{one}/media/subscribe",
            handler=views.subscribe,
            summary="Choose which streams to receive",
            description=(
                "What changes comes as MEETING_PARTICIPANT_SUBSCRIBED and MEETING_SDP_OFFERED. A stream that "
                "is not there yet is remembered."
            ),
            tag="media",
            parameters=[_MEETING],
            body=_SUBSCRIPTION,
            returns={204: None},
            refuses={
                **refuses,
                400: f"both lists are empty; or: {_BAD}",
                403: _NOT_MEMBER,
                409: "more subscriptions than there are streams, and 200 besides",
            },
        ),
        Operation(
            id="updateAudioStream",
            method="PUT",
            path=f"{one}/audio",
            handler=views.audio,
            summary="Open or close your microphone; a moderator may close another's",
            tag="media",
            parameters=[_MEETING],
            body=wire.AudioStreamSettings,
            returns={204: None},
            refuses={
                **refuses,
                400: f"another user's microphone can't be opened; or: {_BAD}",
                403: _NOT_MODERATOR,
                404: "no such meeting, or the user is not in it",
            },
        ),
        Operation(
            id="offerRtcAudioStream",
            method="PUT",
            path=f"{one}/audio/offer",
            handler=views.offer_audio,
            summary="Offer the audio connection; the answer comes as MEETING_AUDIO_ANSWERED",
            tag="media",
            parameters=[_MEETING],
            body=wire.SessionDescriptionProtocol,
            returns={204: None},
            refuses={**refuses, 403: _NOT_MEMBER},
        ),
    ]


def _access_list(views: MeetingViews) -> list[Operation]:
    members = "/meetings/{meetingId}/members"
    return [
        Operation(
            id="listMembers",
            method="GET",
            path=members,
            handler=views.members,
            summary="The access list",
            tag="access list",
            parameters=[_MEETING],
            returns={200: list[wire.MeetingUser]},
            refuses={403: _NOT_MEMBER, 404: _NO_MEETING},
        ),
        Operation(
            id="setMember",
            method="PUT",
            path=f"{members}/{{userId}}",
            handler=views.set_member,
            summary="Put a user on the access list, or change what they are there",
            tag="access list",
            parameters=[_MEETING, _USER],
            body=wire.MemberSettings,
            returns={204: None},
            refuses={
                400: _BAD,
                403: _NOT_MODERATOR,
                404: _NO_MEETING,
                409: "the owner stays a moderator",
            },
        ),
        Operation(
            id="removeMember",
            method="DELETE",
            path=f"{members}/{{userId}}",
            handler=views.remove_member,
            summary="Take a user off the access list and out of the meeting; one may remove oneself",
            tag="access list",
            parameters=[_MEETING, _USER],
            returns={204: None},
            refuses={
                403: _NOT_MODERATOR,
                404: "no such meeting, or the user is not on its list",
                409: "the owner stays on the list",
            },
        ),
    ]
