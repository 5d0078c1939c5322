"""Use cases of meetings: making, running and leaving them, the waiting room, the access list."""

from __future__ import annotations

import secrets
import string
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from conference.domain import access_list, admission, leaving, lifecycle, waiting_room
from conference.domain.meeting import Command, Meeting
from conference.domain.policy import require_member, require_moderator
from conference.errors import BadRequest, Conflict, Forbidden, NotFound
from conference.services.changes import (
    Applied,
    Clock,
    MeetingChanges,
    NewId,
    Relay,
    no_such_meeting,
)
from conference.services.placement import Placement
from conference.storage import glances, meetings, outbox
from conference.storage.glances import PublicMeeting
from conference.storage.meetings import Connection, Page
from schemas.terms import MeetingType, QueueStatus, QueueUpdateStatus, UserType

_CODE_ALPHABET = string.ascii_letters + string.digits + "_-"
_CODE_LENGTH = 10


class NewMeeting(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may choose of a new meeting."""

    name: str
    meeting_type: MeetingType
    room_id: UUID | None = None
    expiration: datetime | None = None


def new_join_code() -> str:
    return "".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_LENGTH))


class MeetingService:
    """Each method takes the acting user first, and raises the domain error that its refusal is."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        relay: Relay,
        changes: MeetingChanges,
        placement: Placement,
        clock: Clock,
        new_id: NewId,
        *,
        most: int = 1000,
    ) -> None:
        """`most`: meetings of one owner."""
        self._most = most
        self._pool = pool
        self._relay = relay
        self._changes = changes
        self._placement = placement
        self._clock = clock
        self._new_id = new_id

    # --- making and finding -------------------------------------------------------------------

    async def create(self, by: UUID, new: NewMeeting) -> Meeting:
        """Raises Conflict when the room has a meeting, Forbidden when that is one the caller has no part in or they
        have too many (LimitExceeded), and BadRequest for an expiration that is past."""
        now = self._clock()
        if new.expiration is not None and new.expiration <= now:
            raise BadRequest("$.expiration: must be in the future", code="bad_body")
        draft = Meeting(
            id=self._new_id(),
            name=new.name,
            meeting_type=new.meeting_type,
            room_id=new.room_id,
            owner_id=by,
            join_code=new_join_code(),
            created_at=now,
            expiration=new.expiration,
        )
        meeting, told = lifecycle.created(draft, now)
        async with self._pool.acquire() as conn, conn.transaction():
            if await meetings.lock_and_count(conn, by) >= self._most:
                raise Forbidden(
                    f"you have {self._most} meetings already: delete some", code="LimitExceeded"
                )
            if not await meetings.insert(conn, meeting):
                await _refuse_second(conn, by, meeting)
            await outbox.add(conn, meeting.id, told, self._new_id)
        await self._relay.flush(meeting.id)
        return meeting

    async def of(self, user: UUID, page: Page) -> tuple[list[Meeting], Page | None]:
        """Meetings that the user has access to, oldest first; and the next page, if there is one."""
        async with self._snapshot() as conn:
            found = await meetings.of_member(conn, user, page)
        if len(found) <= page.limit:
            return found, None
        last = found[page.limit - 1]
        return found[:-1], Page(limit=page.limit, after=(last.created_at, last.id))

    async def get(self, by: UUID, meeting_id: UUID) -> Meeting:
        async with self._snapshot() as conn:
            meeting = await meetings.read(conn, meeting_id)
        return _for_member(meeting, by)

    async def of_room(self, by: UUID, room_id: UUID) -> Meeting:
        async with self._snapshot() as conn:
            meeting = await meetings.of_room(conn, room_id)
        return _for_member(meeting, by)

    async def public(self, meeting_id: UUID) -> PublicMeeting:
        async with self._pool.acquire() as conn:
            found = await glances.public(conn, meeting_id)
        if found is None:
            raise no_such_meeting()
        return found

    async def invited(self, join_code: str) -> PublicMeeting:
        if not set(join_code) <= set(
            _CODE_ALPHABET
        ):  # the database has no word for all that an address may hold
            raise _no_such_code()
        async with self._pool.acquire() as conn:
            found = await glances.by_join_code(conn, join_code)
        if found is None:
            raise _no_such_code()
        return found

    # --- running ------------------------------------------------------------------------------

    async def start(self, by: UUID, meeting_id: UUID) -> Meeting:
        worker = await self._placement.candidate()
        return (await self._apply(meeting_id, lifecycle.Start(by=by, worker=worker))).meeting

    async def stop(self, by: UUID, meeting_id: UUID) -> Meeting:
        return (await self._apply(meeting_id, lifecycle.Stop(by=by))).meeting

    async def delete(self, by: UUID, meeting_id: UUID) -> None:
        await self._apply(meeting_id, lifecycle.Delete(by=by))

    async def expire(self, meeting_id: UUID) -> None:
        await self._apply(meeting_id, lifecycle.Expire())

    async def stop_unused(self, meeting_id: UUID, since: datetime) -> None:
        """Stop it if it started at `since` or before and nobody is in it."""
        await self._apply(meeting_id, lifecycle.StopUnused(since=since))

    # --- coming and going ---------------------------------------------------------------------

    async def join(self, meeting_id: UUID, command: admission.Join) -> Meeting:
        """`command.by` acts, and is in the meeting afterwards, or waits.

        Raises Forbidden too when the channel is not theirs, or no longer."""
        claim = meetings.Claim(queue_id=command.queue_id, user_id=command.by)
        return (await self._apply(meeting_id, command, claim)).meeting

    async def eject(self, by: UUID, meeting_id: UUID, user: UUID) -> None:
        await self._take_out(meeting_id, user, leaving.Eject(by=by, user=user))

    async def leave(self, by: UUID, meeting_id: UUID) -> None:
        await self._take_out(meeting_id, by, leaving.Leave(by=by))

    async def channel_gone(self, queue_id: UUID) -> None:
        """Whoever joined or waits with this channel, anywhere, leaves as if they had asked to."""
        async with self._pool.acquire() as conn:
            affected = await glances.with_queues(conn, [queue_id])
        for meeting_id, _ in affected:
            await self.drop_channel(meeting_id, queue_id)

    async def drop_channel(
        self, meeting_id: UUID, queue_id: UUID, *, on_purpose: bool = False
    ) -> None:
        """`on_purpose`: the client leaves, rather than that its connection was lost."""
        await self._apply(meeting_id, leaving.ChannelGone(queue_id=queue_id, on_purpose=on_purpose))

    async def drop_channels(self, meeting_id: UUID, queue_ids: Collection[UUID]) -> None:
        """Several at once, whose connections were lost."""
        await self._apply(meeting_id, leaving.ChannelsGone(queue_ids=frozenset(queue_ids)))

    # --- the waiting room ---------------------------------------------------------------------

    async def waiting(self, by: UUID, meeting_id: UUID) -> list[UUID]:
        """Who waits, longest first. Moderators only."""
        async with self._snapshot() as conn:
            meeting = await meetings.read(conn, meeting_id)
        if meeting is None:
            raise no_such_meeting()
        require_moderator(meeting, by)
        entries = meeting.queue.values()
        return [entry.user_id for entry in entries if entry.status is QueueStatus.WAITING]

    async def time_out(self, meeting_id: UUID, queue_id: UUID) -> None:
        """Whoever still waits with this channel waits no longer."""
        await self._apply(meeting_id, waiting_room.TimeOut(queue_id=queue_id))

    async def update_queued(
        self, by: UUID, meeting_id: UUID, user: UUID, status: QueueUpdateStatus
    ) -> None:
        await self._apply(meeting_id, waiting_room.UpdateQueued(by=by, user=user, status=status))

    # --- the access list ----------------------------------------------------------------------

    async def members(self, by: UUID, meeting_id: UUID) -> dict[UUID, UserType]:
        return dict((await self.get(by, meeting_id)).members)

    async def set_member(self, by: UUID, meeting_id: UUID, user: UUID, user_type: UserType) -> None:
        await self._apply(meeting_id, access_list.SetMember(by=by, user=user, user_type=user_type))

    async def remove_member(self, by: UUID, meeting_id: UUID, user: UUID) -> None:
        await self._take_out(meeting_id, user, access_list.RemoveMember(by=by, user=user))

    # ------------------------------------------------------------------------------------------

    async def _apply(
        self, meeting_id: UUID, command: Command, claim: meetings.Claim | None = None
    ) -> Applied:
        """The worker lets go of whoever left before the caller hears that they did."""
        applied = await self._changes.apply(meeting_id, command, claim=claim)
        await self._placement.tidy(applied)
        return applied

    async def _take_out(self, meeting_id: UUID, user: UUID, command: Command) -> None:
        """As `_apply`; the worker is told again of a user who was out already."""
        try:
            applied = await self._apply(meeting_id, command)
        except NotFound:
            await self._placement.keep_out(meeting_id, user)
            raise
        if user not in applied.before.participants:
            await self._placement.keep_out(meeting_id, user)

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Connection]:
        """A connection on which several reads see one state."""
        async with (
            self._pool.acquire() as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield conn


def _no_such_code() -> NotFound:
    return NotFound("no meeting has this join code", code="no_such_code")


async def _refuse_second(conn: Connection, by: UUID, meeting: Meeting) -> None:
    """The room has a meeting: only its members may know more than that."""
    holder = await meetings.of_room(conn, meeting.room_id) if meeting.room_id else None
    if holder is not None:
        require_member(holder, by)
    raise Conflict("this room has a meeting already", code="room_has_meeting")


def _for_member(meeting: Meeting | None, by: UUID) -> Meeting:
    if meeting is None:
        raise no_such_meeting()
    require_member(meeting, by)
    return meeting
