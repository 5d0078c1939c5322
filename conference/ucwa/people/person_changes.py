"""How what a user publishes or keeps is changed: lock, change, save with the outbox, commit, then tell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import asyncpg

from conference.domain.facts import Audience, Outgoing, Urgency
from conference.services.changes import Clock, NewId, Relay
from conference.storage import outbox
from conference.storage.meetings import Connection
from conference.ucwa.people import store as people
from conference.ucwa.people.store import Person
from schemas.events import Event


class Changing:
    """One change of one user, in its transaction. What `person` is at the end is saved."""

    def __init__(self, conn: Connection, person: Person, now: datetime) -> None:
        self.conn = conn
        self.person = person
        self.now = now
        self.told: list[Outgoing] = []

    @property
    def user_id(self) -> UUID:
        return self.person.user_id

    def tell(
        self, event: Event, queues: Collection[UUID], urgency: Urgency = Urgency.MEDIUM
    ) -> None:
        audience = Audience(queues=frozenset(queues))
        self.told.append(Outgoing(event=event, audience=audience, urgency=urgency))


class PersonChanges:
    """Changes of one user happen one after another, in whichever process: the row's lock orders them."""

    def __init__(self, pool: asyncpg.Pool, relay: Relay, clock: Clock, new_id: NewId) -> None:
        self.pool = pool
        self.clock = clock
        self._relay = relay
        self._new_id = new_id

    @asynccontextmanager
    async def of(self, user_id: UUID, others: Collection[UUID] = ()) -> AsyncIterator[Changing]:
        """`others`: users who publish nothing new before this change is committed."""
        async with self.pool.acquire() as conn, conn.transaction():
            locked = await people.lock(conn, {user_id, *others})
            change = Changing(conn, locked[user_id], self.clock())
            yield change
            if change.person != locked[user_id]:
                await people.save(conn, change.person)
            await outbox.add(conn, user_id, change.told, self._new_id)
        if change.told:
            await self._relay.flush(user_id)
