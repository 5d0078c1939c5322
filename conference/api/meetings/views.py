"""Parse, call the service, render. Authentication has happened; the rules are the domain's."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from aiohttp import web

from conference.api.auth import caller
from conference.api.body import answer, no_content, path_id, read, uuid
from conference.api.meetings import paging, render
from conference.domain.admission import Join
from conference.errors import BadRequest
from conference.services.media import MediaService
from conference.services.meetings import MeetingService, NewMeeting
from schemas import meetings as wire
from schemas.terms import JoinStatus

QUEUE_ID = "queue-id"


class MeetingViews:
    def __init__(self, meetings: MeetingService) -> None:
        self._meetings = meetings

    async def public(self, request: web.Request) -> web.Response:
        found = await self._meetings.public(_meeting(request))
        return answer(wire.PublicMeeting(name=found.name))

    async def invitation(self, request: web.Request) -> web.Response:
        found = await self._meetings.invited(request.match_info["code"])
        return answer(wire.PublicInvitation(meeting_id=found.id, name=found.name))

    async def list(self, request: web.Request) -> web.Response:
        user = _user(request)
        found, following = await self._meetings.of(user, paging.page(request.query))
        response = answer([render.meeting(meeting, user) for meeting in found])
        if following is not None:
            response.headers["Link"] = f'<{paging.address(following)}>; rel="next"'
        return response

    async def create(self, request: web.Request) -> web.Response:
        body = await read(request, wire.NewMeetingData)
        new = NewMeeting(
            name=body.name,
            meeting_type=body.meeting_type,
            room_id=body.room_id,
            expiration=_utc(body.expiration),
        )
        user = _user(request)
        return answer(render.meeting(await self._meetings.create(user, new), user))

    async def get(self, request: web.Request) -> web.Response:
        user = _user(request)
        return answer(render.meeting(await self._meetings.get(user, _meeting(request)), user))

    async def of_room(self, request: web.Request) -> web.Response:
        user, room_id = _user(request), path_id(request, "roomId")
        return answer(render.meeting(await self._meetings.of_room(user, room_id), user))

    async def delete(self, request: web.Request) -> web.Response:
        await self._meetings.delete(_user(request), _meeting(request))
        return no_content()

    async def start(self, request: web.Request) -> web.Response:
        user = _user(request)
        return answer(render.meeting(await self._meetings.start(user, _meeting(request)), user))

    async def stop(self, request: web.Request) -> web.Response:
        user = _user(request)
        return answer(render.meeting(await self._meetings.stop(user, _meeting(request)), user))

    async def join(self, request: web.Request) -> web.Response:
        meeting_id = _meeting(request)
        queue_id = _queue_id(request)
        wanted = await read(request, wire.JoinSettings)
        who = caller(request)
        join = Join(
            by=who.user_id,
            queue_id=queue_id,
            audio=wanted.audio_stream_enabled,
            video=wanted.video_stream_enabled,
            email=who.email,
            org=who.org,
        )
        meeting = await self._meetings.join(meeting_id, join)
        inside = join.by in meeting.participants
        status = JoinStatus.ACCEPTED if inside else JoinStatus.WAITING
        return answer(wire.JoinMeetingResult(status=status, moderated=meeting.moderated))

    async def leave(self, request: web.Request) -> web.Response:
        await self._meetings.leave(_user(request), _meeting(request))
        return no_content()

    async def queue(self, request: web.Request) -> web.Response:
        users = await self._meetings.waiting(_user(request), _meeting(request))
        return answer(wire.QueuedUsers(users=users))

    async def update_queued(self, request: web.Request) -> web.Response:
        meeting_id, user_id = _meeting(request), path_id(request, "userId")
        body = await read(request, wire.QueuedUserUpdate)
        await self._meetings.update_queued(_user(request), meeting_id, user_id, body.status)
        return no_content()

    async def members(self, request: web.Request) -> web.Response:
        access_list = await self._meetings.members(_user(request), _meeting(request))
        return answer(render.members(access_list))

    async def set_member(self, request: web.Request) -> web.Response:
        meeting_id, user_id = _meeting(request), path_id(request, "userId")
        body = await read(request, wire.MemberSettings)
        await self._meetings.set_member(_user(request), meeting_id, user_id, body.user_type)
        return no_content()

    async def remove_member(self, request: web.Request) -> web.Response:
        meeting_id, user_id = _meeting(request), path_id(request, "userId")
        await self._meetings.remove_member(_user(request), meeting_id, user_id)
        return no_content()


class MediaViews:
    def __init__(self, media: MediaService) -> None:
        self._media = media

    async def switch(self, request: web.Request) -> web.Response:
        meeting_id = _meeting(request)
        body = await read(request, wire.MediaStreamSettings)
        await self._media.switch(
            _user(request), meeting_id, body.type, enabled=body.enabled, sdp=body.sdp
        )
        return no_content()

    async def answer(self, request: web.Request) -> web.Response:
        meeting_id = _meeting(request)
        body = await read(request, wire.SessionDescriptionProtocol)
        await self._media.answer(_user(request), meeting_id, body.sdp)
        return no_content()

    async def subscribe(self, request: web.Request) -> web.Response:
        meeting_id = _meeting(request)
        body = await read(request, wire.SubscriptionUpdates)
        await self._media.subscribe(
            _user(request),
            meeting_id,
            [(stream.user_id, stream.type) for stream in body.subscribe],
            [(stream.user_id, stream.type) for stream in body.unsubscribe],
        )
        return no_content()

    async def audio(self, request: web.Request) -> web.Response:
        meeting_id = _meeting(request)
        body = await read(request, wire.AudioStreamSettings)
        await self._media.set_audio(
            _user(request), meeting_id, enabled=body.enabled, target=body.user_to_moderate
        )
        return no_content()

    async def offer_audio(self, request: web.Request) -> web.Response:
        meeting_id = _meeting(request)
        body = await read(request, wire.SessionDescriptionProtocol)
        await self._media.offer_audio(_user(request), meeting_id, body.sdp)
        return no_content()


def _utc(moment: datetime | None) -> datetime | None:
    """Raises BadRequest at the calendar's very ends, where UTC has no such moment."""
    try:
        return moment.astimezone(UTC) if moment else None
    except OverflowError:
        raise BadRequest("$.expiration: out of the calendar", code="bad_body") from None


def _user(request: web.Request) -> UUID:
    return caller(request).user_id


def _meeting(request: web.Request) -> UUID:
    return path_id(request, "meetingId")


def _queue_id(request: web.Request) -> UUID:
    """The client's channel. Raises BadRequest when the header is missing or no UUID."""
    text = request.headers.get(QUEUE_ID)
    if text is None:
        raise BadRequest(f"header {QUEUE_ID}: missing; open a channel first", code="no_queue_id")
    found = uuid(text)
    if found is None:
        raise BadRequest(f"header {QUEUE_ID}: not a UUID", code="bad_queue_id")
    return found
