"""Which worker holds a meeting's media, and talking to it.

A placement is a worker and an epoch. The epoch grows with each placement under the meeting's lock, so a worker can
refuse what was meant for an earlier one, and two processes that see the same worker lost move the meeting once.
No transaction is open while a worker is asked.
"""

from __future__ import annotations

import asyncio
from typing import Protocol
from uuid import UUID

import asyncpg
import msgspec
import structlog

from conference.bus.redis import CommandRefused
from conference.bus.sfu_client import SfuFailure, WorkerGone
from conference.bus.workers import least_loaded
from conference.domain import media
from conference.domain.meeting import Meeting
from conference.errors import DomainError, MediaFailed
from conference.services.changes import Applied, MeetingChanges, no_such_meeting
from conference.storage import glances, meetings
from conference.storage.glances import Seat
from schemas.sfu import Answered, Body, CloseMeeting, Done, RemovePeer, WorkerRecord

_log = structlog.get_logger(__name__)


class Sfu(Protocol):
    async def call(self, worker: str, meeting: UUID, epoch: int, body: Body) -> Done | Answered: ...


class Workers(Protocol):
    async def alive(self) -> dict[str, WorkerRecord]: ...


class Where(msgspec.Struct, frozen=True):
    worker: str
    epoch: int


class _Given(msgspec.Struct):
    """Meetings placed on a worker since it last said how it is."""

    since: WorkerRecord
    count: int = 0


def where_of(meeting: Meeting | Seat) -> Where | None:
    if meeting.worker_id is None:
        return None
    return Where(meeting.worker_id, meeting.media_epoch)


class Placement:
    def __init__(
        self,
        pool: asyncpg.Pool,
        changes: MeetingChanges,
        sfu: Sfu,
        workers: Workers,
        tidy_timeout: float,
    ) -> None:
        """`tidy_timeout`: seconds that a caller waits at most for a worker to let go of someone."""
        self._pool = pool
        self._changes = changes
        self._sfu = sfu
        self._workers = workers
        self._tidy_timeout = tidy_timeout
        self._given: dict[str, _Given] = {}

    async def candidate(self, other_than: str | None = None) -> str | None:
        """The least loaded worker that takes new meetings; None when there is none, or we can't see any."""
        try:
            records = await self._workers.alive()
        except DomainError as error:
            _log.warning("workers_unknown", error=error.message)
            return None
        self._given = {worker: given for worker, given in self._given.items() if worker in records}
        best = least_loaded(
            self._as_of_now(record) for record in records.values() if record.id != other_than
        )
        if best is not None:
            self._given[best.id].count += 1
        return best.id if best else None

    def _as_of_now(self, record: WorkerRecord) -> WorkerRecord:
        """A record is up to a heartbeat old: what we gave its worker since then counts too."""
        given = self._given.get(record.id)
        if given is None or given.since != record:
            self._given[record.id] = given = _Given(since=record)
        return msgspec.structs.replace(
            record, meetings=record.meetings + given.count, peers=record.peers + given.count
        )

    async def seat(self, meeting_id: UUID, user: UUID) -> Seat:
        """Raises NotFound for an unknown meeting."""
        seat = await self.find_seat(meeting_id, user)
        if seat is None:
            raise no_such_meeting()
        return seat

    async def find_seat(self, meeting_id: UUID, user: UUID) -> Seat | None:
        async with self._pool.acquire() as conn:
            return await glances.seat(conn, meeting_id, user)

    # --- asking -------------------------------------------------------------------------------

    async def call(
        self, meeting_id: UUID, where: Where | None, body: Body
    ) -> tuple[Done | Answered, Where]:
        """The worker's reply, and where it was given.

        A meeting that is nowhere is placed first. One whose worker is gone is moved and asked once more.
        Raises MediaFailed, and BadRequest for an SDP that the worker can't use.
        """
        where = where or await self._place(meeting_id)
        try:
            return await self._ask(meeting_id, where, body)
        except WorkerGone:
            return await self._ask(meeting_id, await self.relocate(meeting_id, where), body)
        except SfuFailure as failure:
            if failure.failure == "draining":
                return await self._ask(meeting_id, await self.relocate(meeting_id, where), body)
            if failure.failure == "stale_epoch":
                return await self._ask(meeting_id, await self._newer(meeting_id, where), body)
            raise

    async def _ask(
        self, meeting_id: UUID, where: Where, body: Body
    ) -> tuple[Done | Answered, Where]:
        return await self._sfu.call(where.worker, meeting_id, where.epoch, body), where

    async def _place(self, meeting_id: UUID) -> Where:
        worker = await self.candidate()
        if worker is None:
            raise _no_worker()
        applied = await self._changes.apply(meeting_id, media.Place(worker=worker))
        return _placed(applied.after)

    async def relocate(self, meeting_id: UUID, lost: Where) -> Where:
        """Move the media off `lost`, unless somebody else has. Raises MediaFailed when there is nowhere to go."""
        worker = await self.candidate(other_than=lost.worker)
        if worker is None:
            raise _no_worker()
        command = media.Relocate(worker=worker, lost_epoch=lost.epoch)
        applied = await self._changes.apply(meeting_id, command)
        where = _placed(applied.after)
        if where.epoch == lost.epoch + 1 and where.worker == worker:
            _log.info("meeting_moved", meeting=str(meeting_id), lost=lost.worker, worker=worker)
        return where

    async def _newer(self, meeting_id: UUID, stale: Where) -> Where:
        async with self._pool.acquire() as conn:
            meeting = await meetings.read(conn, meeting_id)
        where = _placed(meeting)
        if where.epoch == stale.epoch:
            raise MediaFailed("the media worker knows a later placement", code="stale_epoch")
        return where

    # --- letting go ---------------------------------------------------------------------------

    async def tidy(self, applied: Applied) -> None:
        """Have the worker close what a change has ended, at once. Where that fails, the reconciler does it later."""
        where = where_of(applied.before)
        if where is None:
            return
        after = applied.after
        if after is None or not after.active:
            await self.try_ask(applied.before.id, where, CloseMeeting())
            return
        for participant in applied.before.participants.values():
            still = after.participants.get(participant.user_id)
            if still is None or still.queue_id != participant.queue_id:
                out = RemovePeer(user=participant.user_id, client=participant.queue_id)
                await self.try_ask(after.id, where, out)

    async def keep_out(self, meeting_id: UUID, user: UUID) -> None:
        """Have the worker let go of someone who is not in, once more: whoever asks again may have a reason."""
        seat = await self.find_seat(meeting_id, user)
        where = where_of(seat) if seat else None
        if seat is not None and seat.participant is None and where is not None:
            await self.try_ask(meeting_id, where, RemovePeer(user=user))

    async def try_ask(self, meeting_id: UUID, where: Where, body: Body) -> None:
        """Ask, and only log when that fails."""
        try:
            async with asyncio.timeout(self._tidy_timeout):
                await self._sfu.call(where.worker, meeting_id, where.epoch, body)
        except (CommandRefused, DomainError, TimeoutError) as error:
            _log.info(
                "worker_not_told",
                meeting=str(meeting_id),
                worker=where.worker,
                op=type(body).__name__,
                error=str(error),
            )


def _placed(meeting: Meeting | None) -> Where:
    where = where_of(meeting) if meeting else None
    if where is None:
        raise MediaFailed("the meeting has not started", code="meeting_not_active")
    return where


def _no_worker() -> MediaFailed:
    return MediaFailed("no media worker can take this meeting; try again", code="no_worker")
