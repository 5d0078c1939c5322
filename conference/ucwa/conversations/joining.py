"""Joining an online meeting from a UCWA application: an operation that begins a conversation."""

from __future__ import annotations

from uuid import UUID, uuid4

import asyncpg
import msgspec

from conference.domain import admission
from conference.errors import Conflict, Forbidden, NotFound
from conference.services.changes import Clock, MeetingChanges
from conference.services.placement import Placement
from conference.storage import meetings, users
from conference.storage.meetings import Connection
from conference.storage.users import User
from conference.ucwa.application import Application
from conference.ucwa.conversations import store as conversations
from conference.ucwa.conversations.facts import Importance, InvitationView
from conference.ucwa.conversations.rules import Conversation
from conference.ucwa.meetings.rules import OnlineMeeting, Wishes
from conference.ucwa.meetings.service import OnlineMeetingService


class Joiner(msgspec.Struct, frozen=True, kw_only=True):
    """Who joins. `meeting`: the only one that somebody anonymous may."""

    user_id: UUID
    name: str = ""
    email: str = ""
    org: str = ""
    meeting: UUID | None = None

    @property
    def anonymous(self) -> bool:
        return self.meeting is not None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the application said of its operation. '' is absent."""

    operation_id: str = ""
    subject: str = ""
    importance: Importance = Importance.NORMAL
    thread_id: str = ""
    anonymous_display_name: str = ""


class _Taken(Exception):
    """The application is in this meeting already, or has begun this operation before."""


class JoiningService:
    """Each method gives the id of the invitation. An operation that lasts is not begun twice."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        changes: MeetingChanges,
        placement: Placement,
        online_meetings: OnlineMeetingService,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._changes = changes
        self._placement = placement
        self._online_meetings = online_meetings
        self._clock = clock

    async def join(
        self,
        application: Application,
        queue_id: UUID,
        joiner: Joiner,
        address: str,
        wanted: Wanted,
    ) -> str:
        """Raises NotFound (DestinationNotFound), Forbidden (also what the meeting's rules refuse with), Conflict
        (AlreadyExists)."""
        if known := await self._begun(application.id, wanted):
            return known
        target = await self._online_meetings.by_uri(address)
        if target is None:
            raise _no_destination()
        if joiner.meeting is not None and joiner.meeting != target.meeting_id:
            raise Forbidden("this token is for another meeting")
        return await self._enter(application, queue_id, joiner, target, wanted)

    async def start(
        self, application: Application, queue_id: UUID, joiner: Joiner, wanted: Wanted
    ) -> str:
        """Make an ad-hoc meeting and join it. Raises Conflict (TooManyOnlineMeetings)."""
        if known := await self._begun(application.id, wanted):
            return known
        wishes = Wishes(subject=wanted.subject or None)
        target = await self._online_meetings.create(joiner.user_id, wishes, adhoc=True)
        return await self._enter(application, queue_id, joiner, target, wanted)

    async def _begun(self, application_id: str, wanted: Wanted) -> str | None:
        if not wanted.operation_id:
            return None
        async with self._pool.acquire() as conn:
            found = await conversations.by_operation(conn, application_id, wanted.operation_id)
        return found.invitation.id if found else None

    async def _enter(
        self,
        application: Application,
        queue_id: UUID,
        joiner: Joiner,
        target: OnlineMeeting,
        wanted: Wanted,
    ) -> str:
        conversation = self._conversation(application, queue_id, joiner, target, wanted)

        async def begin(conn: Connection) -> None:
            if not await meetings.own_channel(conn, queue_id, joiner.user_id):
                raise NotFound(
                    "the application's event channel is closed", code="ApplicationNotFound"
                )
            if not await conversations.insert(conn, conversation):
                raise _Taken
            if joiner.anonymous:
                await self._name(conn, joiner, wanted)

        try:
            applied = await self._changes.apply(
                target.meeting_id, _command(queue_id, joiner), begin
            )
        except _Taken:
            return await self._same(application.id, wanted)
        except NotFound as gone:
            raise (_no_destination() if gone.code == "no_such_meeting" else gone) from None
        await self._placement.tidy(applied)
        return conversation.invitation.id

    async def _same(self, application_id: str, wanted: Wanted) -> str:
        """Another request with this operation was quicker; or another operation joined this meeting."""
        if known := await self._begun(application_id, wanted):
            return known
        raise Conflict(
            "the application has a conversation about this meeting; end it first",
            code="AlreadyExists",
        )

    async def _name(self, conn: Connection, joiner: Joiner, wanted: Wanted) -> None:
        """So that every family shows the name that somebody anonymous gave."""
        user = User(id=joiner.user_id, name=wanted.anonymous_display_name)
        await users.put(conn, user, self._clock())

    def _conversation(
        self,
        application: Application,
        queue_id: UUID,
        joiner: Joiner,
        target: OnlineMeeting,
        wanted: Wanted,
    ) -> Conversation:
        return Conversation(
            application_id=application.id,
            meeting_id=target.meeting_id,
            user_id=joiner.user_id,
            queue_id=queue_id,
            created_at=self._clock(),
            anonymous=joiner.anonymous,
            invitation=InvitationView(
                id=uuid4().hex,
                operation_id=wanted.operation_id,
                subject=wanted.subject,
                importance=wanted.importance,
                thread_id=wanted.thread_id or uuid4().hex,
                online_meeting_uri=target.uri,
                anonymous_display_name=wanted.anonymous_display_name if joiner.anonymous else "",
            ),
        )


def _command(queue_id: UUID, joiner: Joiner) -> admission.Join:
    """Microphone and camera stay off until their media is negotiated."""
    return admission.Join(
        by=joiner.user_id,
        queue_id=queue_id,
        audio=False,
        video=False,
        email=joiner.email,
        org=joiner.org,
        anonymous=joiner.anonymous,
        starts=True,
        enters=True,
    )


def _no_destination() -> NotFound:
    return NotFound("no online meeting has this address", code="DestinationNotFound")
