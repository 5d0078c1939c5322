"""Workers are brought in line with the database, again and again, whatever got lost on the way to them.

Commands are sent once, right after the change that they follow from; that is the quick way, and it may fail: Redis
is away, the API process dies after its commit, the worker does not listen. So every worker is asked what it holds,
then the database what it should hold, and for what differs the worker gets the ordinary commands. They are guarded
by the epoch and name the client, so one that comes twice, or too late, does no harm.
"""

from __future__ import annotations

import asyncio
from typing import Protocol
from uuid import UUID

import asyncpg
import structlog

from conference.domain import media
from conference.domain.holding import Dark, Microphone, Order, dark, orders, together
from conference.errors import DomainError, NotFound
from conference.services.changes import MeetingChanges
from conference.services.placement import Sfu, Workers
from conference.storage import glances
from schemas.sfu import Held, VideoKind
from schemas.terms import StreamType

PERIOD = 1.5
"""Seconds between two looks at a worker, whichever process has the turn."""
INTERVAL = 0.5
"""Seconds after which each process asks whether it is its turn."""
WITHIN = 2.0
"""Seconds for one worker. What is not done by then is done at the next look."""
AT_ONCE = 5
"""Orders under way to one worker: the pool's other connections go on to serve requests."""
BELIEVED_FOR = 30.0
"""Seconds for which a look is remembered, until the same process has the turn again."""
_STREAM: dict[VideoKind, StreamType] = {"video": StreamType.VIDEO, "screen": StreamType.SCREEN}

_log = structlog.get_logger(__name__)


class Reports(Sfu, Protocol):
    async def held(self, worker: str) -> list[Held]: ...


class Microphones(Protocol):
    async def enforce_audio(self, meeting_id: UUID, user: UUID) -> None: ...


class Turns(Protocol):
    async def take(self) -> bool: ...


class Reconciler:
    def __init__(
        self,
        pool: asyncpg.Pool,
        changes: MeetingChanges,
        sfu: Reports,
        workers: Workers,
        microphones: Microphones,
        turns: Turns,
    ) -> None:
        self._pool = pool
        self._changes = changes
        self._sfu = sfu
        self._workers = workers
        self._microphones = microphones
        self._turns = turns
        self._dark: dict[str, tuple[frozenset[Dark], float]] = {}
        """What a worker lacked at the last look, and when that was."""
        self._failing: set[str] = set()

    async def check(self) -> None:
        """One look at every worker, if it is our turn. A worker that fails, or is slow, does not keep the others."""
        if not await self._turns.take():
            return
        alive = await self._workers.alive()
        await asyncio.gather(*[self._try(worker) for worker in alive])
        self._failing &= alive.keys()
        self._dark = {worker: look for worker, look in self._dark.items() if worker in alive}

    async def _try(self, worker: str) -> None:
        try:
            async with asyncio.timeout(WITHIN):
                await self._bring_in_line(worker)
        except Exception as error:
            if worker not in self._failing:
                expected = isinstance(error, DomainError | TimeoutError)
                _log.warning(
                    "worker_not_compared",
                    worker=worker,
                    error=repr(error),
                    exc_info=not expected,
                )
            self._failing.add(worker)
        else:
            self._failing.discard(worker)

    async def _bring_in_line(self, worker: str) -> None:
        held = together(page.meetings for page in await self._sfu.held(worker))
        # Only now: whatever the worker was told in time is in the database before.
        async with self._pool.acquire() as conn:
            due = await glances.due(conn, worker)
        await self._carry_out(worker, list(orders(held, due)))
        for missing in self._twice(worker, frozenset(dark(held, due))):
            await self._darken(missing)

    async def _carry_out(self, worker: str, found: list[Order | Microphone]) -> None:
        for start in range(0, len(found), AT_ONCE):
            await asyncio.gather(
                *[self._order(worker, order) for order in found[start : start + AT_ONCE]]
            )

    async def _order(self, worker: str, order: Order | Microphone) -> None:
        """One that fails is passed over; it is found again at the next look."""
        op = "SetAudio" if isinstance(order, Microphone) else type(order.body).__name__
        try:
            if isinstance(order, Microphone):
                await self._microphones.enforce_audio(order.meeting, order.user)
            else:
                await self._sfu.call(worker, order.meeting, order.epoch, order.body)
        except DomainError as error:
            _log.info("worker_not_told", worker=worker, op=op, error=error.message)
        else:
            _log.info("worker_brought_in_line", worker=worker, meeting=str(order.meeting), op=op)

    def _twice(self, worker: str, missing: frozenset[Dark]) -> frozenset[Dark]:
        """Those that were missing when this process looked before, too."""
        now = asyncio.get_running_loop().time()
        before, looked_at = self._dark.get(worker, (frozenset[Dark](), now))
        self._dark[worker] = missing, now
        return missing & before if INTERVAL < now - looked_at < BELIEVED_FOR else frozenset()

    async def _darken(self, missing: Dark) -> None:
        lost = media.VideoLost(user=missing.user, epoch=missing.epoch, kind=_STREAM[missing.kind])
        try:
            await self._changes.apply(missing.meeting, lost)
        except NotFound:
            return  # the meeting is gone
        _log.info("stream_was_lost", meeting=str(missing.meeting), kind=missing.kind)
