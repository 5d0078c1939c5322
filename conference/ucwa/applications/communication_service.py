"""What a UCWA application says of itself: how it wants to be reached."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID, uuid5

import asyncpg

from conference.domain.facts import Audience, Outgoing, Urgency
from conference.services.changes import Clock, NewId, Relay
from conference.storage import outbox
from conference.storage.meetings import Connection
from conference.ucwa.application import Application
from conference.ucwa.applications import (
    communication_store as communications,
)
from conference.ucwa.applications import (
    store as applications,
)
from conference.ucwa.applications.communication import Communication, CommunicationChanged

EVENTS_OF = UUID("6d1c2b64-6c9a-4f1e-9d0e-0a3c7f1f5a52")


class CommunicationService:
    def __init__(self, pool: asyncpg.Pool, relay: Relay, clock: Clock, new_id: NewId) -> None:
        self._pool = pool
        self._relay = relay
        self._clock = clock
        self._new_id = new_id

    async def get(self, application: Application) -> Communication:
        async with self._pool.acquire() as conn:
            return await communications.read(conn, application.id)

    async def replace(
        self,
        application: Application,
        given: Communication,
        check: Callable[[Communication], None] = lambda _: None,
    ) -> Communication:
        """`check` is given what is replaced, under its lock, and may raise."""
        async with self._pool.acquire() as conn, conn.transaction():
            before = await communications.lock(conn, application.id)
            check(before)
            if before != given:
                await communications.save(conn, application.id, given)
                told = [await changed(conn, application.id, given, self._clock())]
                await outbox.add(conn, _stream(application.id), told, self._new_id)
        await self._relay.flush(_stream(application.id))
        return given


async def changed(
    conn: Connection, application_id: str, communication: Communication, now: datetime
) -> Outgoing:
    """What to tell the application in the transaction that changed it."""
    queues = await applications.queues_of(conn, application_id)
    return Outgoing(
        event=CommunicationChanged(sent_date=now, communication=communication),
        audience=Audience(queues=frozenset(queues)),
        urgency=Urgency.MEDIUM,
    )


def _stream(application_id: str) -> UUID:
    """The outbox stream of what an application changes of itself; the lock on its row orders it."""
    return uuid5(EVENTS_OF, application_id)
