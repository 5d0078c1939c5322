"""How every change of a meeting happens: lock, decide, save with the outbox, commit, then tell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol
from uuid import UUID

import asyncpg
import msgspec

from conference.domain.decide import decide
from conference.domain.facts import Outgoing
from conference.domain.meeting import Command, Meeting
from conference.errors import NotFound
from conference.storage import meetings, outbox
from conference.storage.meetings import Claim, Connection
from conference.storage.statements import begun_with, run

Clock = Callable[[], datetime]
NewId = Callable[[], UUID]
Guard = Callable[[Connection], Awaitable[None]]
"""A condition checked under the meeting's lock; it raises what its failure is."""
Make = Callable[[Connection, Meeting], Awaitable[Command]]
"""Makes the command under the meeting's lock, or raises what its failure is."""


class Relay(Protocol):
    async def flush(self, stream_id: UUID) -> None: ...


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """`after` is None when the change removed the meeting."""

    before: Meeting
    after: Meeting | None

    @property
    def meeting(self) -> Meeting:
        """The meeting after a change that can't remove it."""
        if self.after is None:
            raise no_such_meeting()
        return self.after


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A change on its way: decided, not yet saved."""

    before: Meeting
    after: Meeting | None
    command: Command
    at: datetime


Observer = Callable[[Connection, Decided], Awaitable[list[Outgoing]]]
"""Adds what others are told of a change, in its transaction and under the meeting's lock. It may refuse it."""


def no_such_meeting() -> NotFound:
    return NotFound("no such meeting", code="no_such_meeting")


class MeetingChanges:
    """Changes of one meeting happen one after another, in whichever process: its row's lock orders them."""

    def __init__(self, pool: asyncpg.Pool, relay: Relay, clock: Clock, new_id: NewId) -> None:
        self._pool = pool
        self._relay = relay
        self._clock = clock
        self._new_id = new_id
        self.observers: list[Observer] = []

    async def apply(
        self,
        meeting_id: UUID,
        command: Command,
        guard: Guard | None = None,
        *,
        claim: Claim | None = None,
    ) -> Applied:
        """Raises NotFound for an unknown meeting, Forbidden for a claim that is none, and whatever the rules refuse
        with."""

        async def given(conn: Connection, before: Meeting) -> Command:
            if guard is not None:
                await guard(conn)
            return command

        return await self.apply_made(meeting_id, given, claim=claim)

    async def apply_made(
        self, meeting_id: UUID, make: Make, *, claim: Claim | None = None
    ) -> Applied:
        """As `apply`, with a command that depends on the meeting as it is under its lock."""
        locked = meetings.locking(meeting_id)
        async with self._pool.acquire() as conn, begun_with(conn, locked):
            before = await meetings.read(conn, meeting_id, claim)
            if before is None:
                raise no_such_meeting()
            command = await make(conn, before)
            now = self._clock()
            after, told = decide(before, command, now)
            decided = Decided(before=before, after=after, command=command, at=now)
            for observer in self.observers:
                told = [*told, *await observer(conn, decided)]
            adding = await outbox.adding(conn, meeting_id, told, self._new_id)
            await run(conn, [*meetings.saving(before, after), *adding])
        if told:
            await self._relay.flush(meeting_id)
        return Applied(before=before, after=after)
