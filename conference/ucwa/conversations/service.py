"""Conversations that UCWA applications have about meetings: looking at them, leaving, and what leaders do in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Protocol
from uuid import UUID

import asyncpg
import msgspec

from conference.domain.meeting import Meeting
from conference.errors import Forbidden, NotFound
from conference.services.meetings import MeetingService
from conference.services.periodic import alone
from conference.storage import meetings
from conference.storage.meetings import Connection
from conference.ucwa.application import Application
from conference.ucwa.conversations import rules as rules
from conference.ucwa.conversations import store as conversations
from conference.ucwa.conversations.facts import ConversationView
from conference.ucwa.conversations.roster import People, contacts_of, people_in
from conference.ucwa.conversations.rules import Conversation, Sight
from schemas.terms import QueueUpdateStatus, UserType


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as of now. `people`: those who were asked for, of those whom its user sees, and itself;
    `contacts`: whom of them its user finds in the directory."""

    conversation: Conversation
    meeting: Meeting
    view: ConversationView
    sight: Sight
    people: People = {}
    contacts: frozenset[UUID] = frozenset()


class Microphones(Protocol):
    async def set_audio(
        self, by: UUID, meeting_id: UUID, *, enabled: bool, target: UUID | None
    ) -> None: ...


class ConversationService:
    """Raises NotFound for a conversation that the application does not have, or no longer."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        meeting_service: MeetingService,
        microphones: Microphones,
        domain: str,
        *,
        everyone: bool,
    ) -> None:
        """`domain`: of the SIP URIs of people without an e-mail address. `everyone`: organisations see each other."""
        self._pool = pool
        self._domain = domain
        self._everyone = everyone
        self._meetings = meeting_service
        self._microphones = microphones

    # --- looking ------------------------------------------------------------------------------

    async def of(self, application: Application) -> list[Conversation]:
        """Oldest first."""
        async with self._pool.acquire() as conn:
            return await conversations.of_application(conn, application.id)

    async def get(self, application: Application, meeting_id: UUID) -> Open:
        """Without anybody's name."""
        async with self._snapshot() as conn:
            found = await conversations.one(conn, application.id, meeting_id)
            return await self._open(conn, found, frozenset())

    async def with_people(
        self, application: Application, meeting_id: UUID, only: UUID | None = None
    ) -> Open:
        """With the names of all whom its user sees, or of `only` one."""
        async with self._snapshot() as conn:
            found = await conversations.one(conn, application.id, meeting_id)
            return await self._open(conn, found, frozenset((only,)) if only else None)

    async def by_invitation(self, application: Application, invitation_id: str) -> Open:
        """The conversation that an operation of joining began. With the name of its user."""
        async with self._snapshot() as conn:
            found = await conversations.by_invitation(conn, application.id, invitation_id)
            user = frozenset((found.user_id,)) if found else None
            return await self._open(conn, found, user)

    async def _open(
        self, conn: Connection, found: Conversation | None, names: Collection[UUID] | None
    ) -> Open:
        meeting = await meetings.read(conn, found.meeting_id) if found else None
        if found is None or meeting is None or rules.standing(found, meeting) == "out":
            raise _no_conversation()
        scene = rules.scene(meeting)
        sight = rules.sight(found, scene)
        seen = {*sight.people, found.user_id}
        wanted = seen if names is None else seen & set(names)
        if wanted:
            wanted |= {found.user_id}
        people = await people_in(conn, meeting, wanted, self._domain)
        return Open(
            conversation=found,
            meeting=meeting,
            view=rules.view(found, scene),
            sight=sight,
            people=people,
            contacts=contacts_of(found.user_id, people, everyone=self._everyone),
        )

    # --- going --------------------------------------------------------------------------------

    async def leave(self, application: Application, meeting_id: UUID) -> None:
        """Leave the meeting or its lobby. By the channel that joined: another client of the user stays in."""
        async with self._pool.acquire() as conn:
            found = await conversations.one(conn, application.id, meeting_id)
        if found is None:
            raise _no_conversation()
        await self._meetings.drop_channel(meeting_id, found.queue_id, on_purpose=True)

    async def cancel(self, application: Application, invitation_id: str) -> None:
        """Withdraw from the lobby. Raises NotFound too when the invitation is completed."""
        found = await self.by_invitation(application, invitation_id)
        if found.sight.standing == "in":
            raise NotFound("the invitation is completed; leave the conversation instead")
        await self._meetings.drop_channel(
            found.meeting.id, found.conversation.queue_id, on_purpose=True
        )

    async def sweep(self, waiting_since: datetime) -> None:
        """Disconnect those who have waited in a lobby since then and were not let in."""
        async with self._pool.acquire() as conn:
            forgotten = await conversations.waiting_since(conn, waiting_since)
        for meeting_id, queue_id in forgotten:
            await alone(meeting_id, self._meetings.time_out(meeting_id, queue_id))

    # --- what leaders do ----------------------------------------------------------------------

    async def admit(self, application: Application, meeting_id: UUID, user: UUID) -> None:
        await self._decide(application, meeting_id, user, QueueUpdateStatus.ACCEPTED)

    async def reject(self, application: Application, meeting_id: UUID, user: UUID) -> None:
        await self._decide(application, meeting_id, user, QueueUpdateStatus.REJECTED)

    async def _decide(
        self, application: Application, meeting_id: UUID, user: UUID, status: QueueUpdateStatus
    ) -> None:
        """Raises NotFound when the user does not wait (any more)."""
        found = await self._led(application, meeting_id)
        if user not in rules.waiting(found.meeting):
            raise NotFound("the participant is not in the lobby")
        await self._meetings.update_queued(application.user_id, meeting_id, user, status)

    async def eject(self, application: Application, meeting_id: UUID, user: UUID) -> None:
        await self._led(application, meeting_id)
        await self._meetings.eject(application.user_id, meeting_id, user)

    async def promote(self, application: Application, meeting_id: UUID, user: UUID) -> None:
        await self._set_role(application, meeting_id, user, UserType.MODERATOR)

    async def demote(self, application: Application, meeting_id: UUID, user: UUID) -> None:
        """Raises Conflict for the organizer."""
        await self._set_role(application, meeting_id, user, UserType.REGISTERED)

    async def mute(self, application: Application, meeting_id: UUID, user: UUID) -> None:
        """Close the microphone of somebody in the meeting. Raises Forbidden for another's but to leaders."""
        await self._set_audio(application, meeting_id, user, enabled=False)

    async def unmute(self, application: Application, meeting_id: UUID, user: UUID) -> None:
        """Open one's own microphone. Raises Forbidden for another's."""
        if user != application.user_id:
            raise Forbidden("only participants themselves can unmute their microphones")
        await self._set_audio(application, meeting_id, user, enabled=True)

    async def _set_audio(
        self, application: Application, meeting_id: UUID, user: UUID, *, enabled: bool
    ) -> None:
        found = await self.get(application, meeting_id)
        if found.sight.standing != "in" or user not in found.meeting.participants:
            raise NotFound("the participant is not in the meeting")
        await self._microphones.set_audio(
            application.user_id, meeting_id, enabled=enabled, target=user
        )

    async def _set_role(
        self, application: Application, meeting_id: UUID, user: UUID, role: UserType
    ) -> None:
        found = await self._led(application, meeting_id)
        if user not in found.meeting.participants:
            raise NotFound("the participant is not in the meeting")
        await self._meetings.set_member(application.user_id, meeting_id, user, role)

    async def _led(self, application: Application, meeting_id: UUID) -> Open:
        """Raises Forbidden for anyone but the leaders in the meeting."""
        found = await self.get(application, meeting_id)
        if not found.view.leader:
            raise Forbidden("only leaders of the meeting may do that")
        return found

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Connection]:
        """A connection on which several reads see one state."""
        async with (
            self._pool.acquire() as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield conn


def _no_conversation() -> NotFound:
    return NotFound("no such conversation; it may have ended")
