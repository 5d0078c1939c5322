"""Use cases of online meetings: what their organizers decide, and finding a meeting by what people were given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
from msgspec.structs import replace

from conference.domain import lifecycle
from conference.domain.arrange import Arrange
from conference.domain.door import Door, Visitor
from conference.domain.meeting import Command, Meeting
from conference.errors import Conflict, NotFound
from conference.services.changes import Clock, MeetingChanges, NewId, Relay, no_such_meeting
from conference.services.meetings import MeetingService, new_join_code
from conference.storage import glances, meetings, outbox, users
from conference.storage.meetings import Connection
from conference.storage.users import User
from conference.ucwa import sip
from conference.ucwa.applications import guests
from conference.ucwa.meetings import ids as online_meeting_ids
from conference.ucwa.meetings import rules as online_meeting
from conference.ucwa.meetings import store as rows
from conference.ucwa.meetings.rules import (
    Defaults,
    Details,
    OnlineMeeting,
    Site,
    Wishes,
    described,
    door_of,
    expiration_of,
)
from schemas.terms import MeetingType, UserType

Check = Callable[[OnlineMeeting], None]
"""Looks at the meeting under its lock, and raises what speaks against changing it."""


class OnlineMeetingService:
    """A meeting that came by another family is an online meeting of its owner too, from the first look on."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        relay: Relay,
        changes: MeetingChanges,
        service: MeetingService,
        site: Site,
        defaults: Defaults,
        *,
        most: int,
        assigned: bool,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        """`most`: online meetings that one organizer may have; `assigned`: whether each has a personal one too."""
        self._pool = pool
        self._relay = relay
        self._changes = changes
        self._service = service
        self._site = site
        self._defaults = defaults
        self._most = most
        self._assigned = assigned
        self._clock = clock
        self._new_id = new_id

    # --- the organizer's ----------------------------------------------------------------------

    async def of_organizer(self, user_id: UUID) -> list[OnlineMeeting]:
        """What the user has scheduled, the assigned one included once it is there. Oldest first."""
        async with self._pool.acquire() as conn, conn.transaction():
            await self._adopt_all(conn, user_id)
            return await self._described(conn, await rows.of_owner(conn, user_id))

    async def get(self, by: UUID, online_meeting_id: str) -> OnlineMeeting:
        """Raises NotFound, for others than the organizer too."""
        async with self._pool.acquire() as conn:
            details = await self._own(conn, by, online_meeting_id)
            return await self._one(conn, details)

    async def create(self, by: UUID, wishes: Wishes, *, adhoc: bool = False) -> OnlineMeeting:
        """`adhoc`: to be joined at once; it is not listed, and goes when it is empty and has expired.

        Raises Conflict (TooManyOnlineMeetings), BadRequest for an expiration out of bounds.
        """
        expiration = expiration_of(wishes, self._defaults, self._clock(), lasting=False)
        async with self._pool.acquire() as conn, conn.transaction():
            await rows.lock_owner(conn, by)
            if await rows.count(conn, by, adhoc=adhoc) >= self._most:
                kind = "ad-hoc" if adhoc else "online"
                raise Conflict(
                    f"you have {self._most} {kind} meetings already: delete one first",
                    code="TooManyOnlineMeetings",
                )
            organizer = await _user(conn, by)
            draft = self._draft(organizer, wishes, MeetingType.SCHEDULED)
            draft = replace(draft, expiration=expiration)
            details = replace(self._details(draft, wishes), adhoc=adhoc)
            created = await self._insert(conn, draft, organizer, details)
        await self._relay.flush(created.meeting_id)
        return created

    async def put(
        self, by: UUID, online_meeting_id: str, wishes: Wishes, check: Check
    ) -> OnlineMeeting:
        """What `wishes` leave open returns to its default. Raises NotFound, BadRequest, and what `check` raises."""
        async with self._pool.acquire() as conn:
            settled = await self._own(conn, by, online_meeting_id)
            organizer = await _user(conn, by)

        async def make(conn: Connection, before: Meeting) -> Command:
            nonlocal settled
            details = await self._own(conn, by, online_meeting_id)
            current = await self._one(conn, details)
            check(current)
            settled = self._settled(details, wishes)
            await rows.update(conn, settled)
            return await self._arranged(conn, before, current, wishes, organizer, details)

        applied = await self._changes.apply_made(settled.meeting_id, make)
        return described(applied.meeting, settled, organizer, {}, self._site)

    async def delete(self, by: UUID, online_meeting_id: str) -> None:
        """With everything that is attached to it. Raises NotFound."""
        async with self._pool.acquire() as conn:
            details = await self._own(conn, by, online_meeting_id)
        await self._service.delete(by, details.meeting_id)

    async def assigned(self, user_id: UUID) -> OnlineMeeting:
        """The user's own lasting meeting, made at the first look. Raises NotFound where there are none."""
        if not self._assigned:
            raise NotFound("nobody is assigned an online meeting here")
        async with self._pool.acquire() as conn:
            known = await rows.assigned_to(conn, user_id)
            if known is not None:
                return await self._one(conn, known)
        return await self._assign(user_id)

    async def _assign(self, user_id: UUID) -> OnlineMeeting:
        async with self._pool.acquire() as conn, conn.transaction():
            await rows.lock_owner(conn, user_id)
            known = await rows.assigned_to(conn, user_id)
            if known is not None:
                return await self._one(conn, known)
            organizer = await _user(conn, user_id)
            wishes = Wishes(subject=f"{organizer.name}'s meeting" if organizer.name else None)
            draft = self._draft(organizer, wishes, MeetingType.PERMANENT)
            details = replace(self._details(draft, wishes), assigned=True, lasting=True)
            created = await self._insert(conn, draft, organizer, details)
        await self._relay.flush(created.meeting_id)
        return created

    # --- finding one --------------------------------------------------------------------------

    async def by_uri(self, uri: str) -> OnlineMeeting | None:
        """The meeting of an onlineMeetingUri, in either form, or of a join URL."""
        if focus := sip.parse_focus(uri):
            return await self.by_key(focus[1])
        if code := _join_code(uri):
            return await self._by_join_code(code)
        return None

    async def by_key(self, online_meeting_id: str) -> OnlineMeeting | None:
        async with self._pool.acquire() as conn:
            details = await online_meeting_ids.find(conn, online_meeting_id)
            return await self._one(conn, details) if details else None

    async def of_meeting(self, meeting_id: UUID) -> OnlineMeeting | None:
        async with self._pool.acquire() as conn, conn.transaction():
            details = await rows.of_meeting(conn, meeting_id)
            if details is None:
                meeting = await meetings.read(conn, meeting_id)
                if meeting is None:
                    return None
                details = await online_meeting_ids.adopt(conn, meeting, self._defaults)
            return await self._one(conn, details)

    async def _by_join_code(self, code: str) -> OnlineMeeting | None:
        async with self._pool.acquire() as conn:
            found = await glances.by_join_code(conn, code)
        return await self.of_meeting(found.id) if found else None

    async def _adopt_all(self, conn: Connection, owner_id: UUID) -> None:
        """In turn with others who do, as they might wait for each other's rows."""
        if not await rows.without_details(conn, owner_id):
            return
        await rows.lock_owner(conn, owner_id)
        unseen = await rows.without_details(conn, owner_id)
        for meeting in (await meetings.read_all(conn, unseen)).values():
            await online_meeting_ids.adopt(conn, meeting, self._defaults)

    # --- reading ------------------------------------------------------------------------------

    async def _own(self, conn: Connection, by: UUID, online_meeting_id: str) -> Details:
        details = await online_meeting_ids.find(conn, online_meeting_id)
        if details is None or details.owner_id != by:
            raise NotFound("you have no such online meeting")
        return details

    async def _one(self, conn: Connection, details: Details) -> OnlineMeeting:
        found = await self._described(conn, [details])
        if not found:
            raise no_such_meeting()
        return found[0]

    async def _described(self, conn: Connection, found: Sequence[Details]) -> list[OnlineMeeting]:
        """Those whose meetings are still there."""
        states = await meetings.read_all(conn, [details.meeting_id for details in found])
        named = {user.id: user for user in await users.named(conn, _mentioned([*states.values()]))}
        addresses = {user.id: sip.address_of(user, self._site.domain) for user in named.values()}
        return [
            described(
                states[details.meeting_id],
                details,
                named.get(details.owner_id) or _nameless(details.owner_id),
                addresses,
                self._site,
            )
            for details in found
            if details.meeting_id in states
        ]

    # --- writing ------------------------------------------------------------------------------

    def _draft(self, organizer: User, wishes: Wishes, kind: MeetingType) -> Meeting:
        return Meeting(
            id=self._new_id(),
            name=wishes.subject or self._defaults.subject,
            meeting_type=kind,
            owner_id=organizer.id,
            join_code=new_join_code(),
            created_at=self._clock(),
            door=door_of(wishes, self._defaults, organizer, self._site.domain),
        )

    def _details(self, meeting: Meeting, wishes: Wishes) -> Details:
        plain = online_meeting_ids.plain_details(meeting.id, meeting.owner_id, self._defaults)
        return self._settled(plain, wishes)

    def _settled(self, details: Details, wishes: Wishes) -> Details:
        """With what an organizer decides of them."""
        announcement = wishes.entry_exit_announcement or self._defaults.entry_exit_announcement
        return replace(
            details,
            description=wishes.description,
            entry_exit_announcement=announcement,
            phone_user_admission=wishes.phone_user_admission or self._defaults.phone_user_admission,
        )

    async def _insert(
        self, conn: Connection, draft: Meeting, organizer: User, details: Details
    ) -> OnlineMeeting:
        """Those on its lists whom we know are members from the beginning."""
        assert draft.door is not None
        leaders, attendees = await self._known(conn, draft.door)
        listed = dict.fromkeys(attendees, UserType.REGISTERED)
        listed |= dict.fromkeys(leaders, UserType.MODERATOR)
        meeting, told = lifecycle.created(replace(draft, members=listed), draft.created_at)
        await meetings.insert(conn, meeting)
        details = await online_meeting_ids.insert(conn, details, meeting)
        await outbox.add(conn, meeting.id, told, self._new_id)
        return described(meeting, details, organizer, {}, self._site)

    async def _arranged(
        self,
        conn: Connection,
        before: Meeting,
        current: OnlineMeeting,
        wishes: Wishes,
        organizer: User,
        details: Details,
    ) -> Command:
        defaults = online_meeting.defaults_for(before, self._defaults)
        door = door_of(wishes, defaults, organizer, self._site.domain)
        former = Door(
            access_level=door.access_level,
            leaders=tuple(uri.removeprefix("sip:") for uri in current.leaders),
            attendees=tuple(uri.removeprefix("sip:") for uri in current.attendees),
        )
        led, attended = await self._known(conn, former)
        leaders, attendees = await self._known(conn, door)
        return Arrange(
            by=organizer.id,
            name=wishes.subject or defaults.subject,
            expiration=expiration_of(wishes, defaults, self._clock(), lasting=details.lasting),
            door=door,
            leaders=leaders,
            attendees=attendees,
            released=(led - leaders) | (attended - attendees - leaders),
            waiting=await _visitors(conn, before),
        )

    async def _known(self, conn: Connection, door: Door) -> tuple[frozenset[UUID], frozenset[UUID]]:
        """(leaders, attendees) whom we know."""
        addresses = {*door.leaders, *door.attendees}
        if not addresses:
            return frozenset(), frozenset()
        found = await rows.users_at(conn, addresses, self._site.domain)
        nobody: frozenset[UUID] = frozenset()
        leaders = nobody.union(*(found.get(address, nobody) for address in door.leaders))
        attendees = nobody.union(*(found.get(address, nobody) for address in door.attendees))
        return leaders, attendees


async def _user(conn: Connection, user_id: UUID) -> User:
    found = await users.named(conn, [user_id])
    return found[0] if found else _nameless(user_id)


async def _visitors(conn: Connection, meeting: Meeting) -> dict[UUID, Visitor]:
    """Who is in the waiting room."""
    if not meeting.queue:
        return {}
    anonymous = await guests.anonymous_users(conn, meeting.id)
    return {
        user.id: Visitor(email=user.email, org=user.org, anonymous=user.id in anonymous)
        for user in await users.named(conn, meeting.queue)
    }


def _nameless(user_id: UUID) -> User:
    return User(id=user_id, name="")


def _mentioned(states: Sequence[Meeting]) -> set[UUID]:
    """The owners, and the members where no door lists them."""
    owners = {meeting.owner_id for meeting in states}
    return owners.union(*(meeting.members for meeting in states if meeting.door is None))


def _join_code(uri: str) -> str | None:
    """Of an address of the web client's, under whatever host it is known."""
    try:
        parts = urlsplit(uri.strip())
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https"):
        return None
    head, _, code = parts.path.rstrip("/").rpartition("/")
    return code if head.endswith("/join") else None
