"""Doing what the job queue holds.

A job is done at least once: a runner that is killed between a job's effect and its mark leaves it to another,
which does it again. So whoever writes a kind makes its effect harmless to repeat, by the job's id if need be.

    waiting ── taken, with a lease ──▶ running ── done ──▶ done
       ▲                                 │ │
       ├── failed: after a delay ────────┘ ├── failed too often, or for good ──▶ given up
       └── its runner stops, or its lease is over (then it counts as an attempt)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import structlog

from conference.domain.jobs import RETRY_DELAYS, delay_after
from conference.downtime import SERVER_DOWN
from conference.storage import jobs
from conference.storage.jobs import Connection, NewJob, TakenJob

LEASE = 30.0
"""Seconds for which a job is a runner's; it is renewed three times in that time."""
LOOK_EVERY = 0.5
"""Seconds between two looks for due jobs of a runner that has time."""
KEPT = 7 * 86_400.0
"""Seconds for which ended jobs are remembered, and their idempotence keys with them."""
_STOP_WITHIN = 5.0
_DIED = "whoever was at it died each time"
_FAILURE_LENGTH = 500

P = TypeVar("P", bound=msgspec.Struct)

_log = structlog.get_logger(__name__)
_encoder = msgspec.json.Encoder()


class JobFailed(Exception):
    """It did not work out; the text says why and is shown to operators."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        """`retry_after`: seconds that the other side asks for."""
        super().__init__(reason)
        self.retry_after = retry_after


class JobHopeless(JobFailed):
    """Trying again would not help."""


class Attempt:
    """One run of a job."""

    def __init__(self, job: TakenJob) -> None:
        self.id = job.id
        self.number = job.attempts
        self.progress = 0.0
        """0 to 1; set it as the work goes on. It is written along with the lease."""


class Kind(Protocol):
    """What a runner asks of a kind of work."""

    name: str
    label: str
    delays: Sequence[float]

    async def run(self, payload: bytes, attempt: Attempt) -> None: ...


class JobKind(Generic[P]):
    """One kind of work: its name, the Struct that says what is to be done, and who does it."""

    def __init__(
        self,
        name: str,
        payload: type[P],
        perform: Callable[[P, Attempt], Awaitable[None]],
        *,
        delays: Sequence[float] = RETRY_DELAYS,
        label: str = "any",
    ) -> None:
        """`delays`: seconds before each further attempt. `label`: what a process must offer to be given such jobs.

        `perform` raises JobFailed, or JobHopeless. Any other exception is a defect: logged, and tried again.
        """
        self.name = name
        self.label = label
        self.delays = delays
        self._decoder = msgspec.json.Decoder(payload)
        self._perform = perform

    async def ask(
        self,
        conn: Connection,
        payload: P,
        *,
        order_key: str | None = None,
        idempotence_key: str | None = None,
        delay: float = 0.0,
    ) -> int | None:
        """As `storage.jobs.add`: in the transaction of the change that wants it."""
        job = NewJob(
            kind=self.name,
            payload=_encoder.encode(payload),
            order_key=order_key,
            idempotence_key=idempotence_key,
            delay=delay,
        )
        return await jobs.add(conn, job)

    async def run(self, payload: bytes, attempt: Attempt) -> None:
        try:
            wanted = self._decoder.decode(payload)
        except msgspec.DecodeError as error:
            # Another version wrote it, and may yet read it: that is no reason to lose it.
            raise JobFailed(f"its payload can't be read: {error}") from None
        await self._perform(wanted, attempt)


class JobRunner:
    """Takes due jobs and does them, several at a time. `run` until cancelled: what is unfinished is handed back."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        kinds: Sequence[Kind],
        runner: UUID,
        *,
        labels: Sequence[str] = ("any",),
        at_once: int = 4,
        lease: float = LEASE,
    ) -> None:
        """`labels`: what this process can do; jobs of other kinds are left to others."""
        self._pool = pool
        self._kinds = {kind.name: kind for kind in kinds if kind.label in labels}
        self._runner = runner
        self._at_once = at_once
        self._lease = lease
        self._running: dict[TakenJob, tuple[Attempt, asyncio.Task[None]]] = {}
        self._room = asyncio.Event()

    async def run(self) -> None:
        renewing = asyncio.create_task(self._renew_always())
        try:
            await self._take_always()
        finally:
            renewing.cancel()
            await asyncio.wait({renewing, *self._stop_all()}, timeout=_STOP_WITHIN)

    # taking

    async def _take_always(self) -> None:
        down = False
        while True:
            try:
                taken = await self._take()
                down = False
            except SERVER_DOWN as error:
                if not down:
                    _log.warning("jobs_wait", error=repr(error))
                down, taken = True, 0
            await self._until_room(at_least=0.0 if taken else LOOK_EVERY)

    async def _take(self) -> int:
        free = self._at_once - len(self._running)
        async with self._pool.acquire() as conn:
            taken = await jobs.take(conn, self._runner, self._kinds, most=free, lease=self._lease)
        for job in taken:
            self._begin(job)
        return len(taken)

    async def _until_room(self, at_least: float) -> None:
        await asyncio.sleep(at_least)
        while len(self._running) >= self._at_once:
            self._room.clear()
            await self._room.wait()

    def _begin(self, job: TakenJob) -> None:
        attempt = Attempt(job)
        task = asyncio.create_task(self._see_through(job, attempt), name=f"job {job.id}")
        self._running[job] = attempt, task
        task.add_done_callback(lambda _: self._ended(job))

    def _ended(self, job: TakenJob) -> None:
        del self._running[job]
        self._room.set()

    # one job

    async def _see_through(self, job: TakenJob, attempt: Attempt) -> None:
        kind = self._kinds[job.kind]
        if job.attempts > len(kind.delays) + 1:
            await self._give_up(job, _DIED)
            return
        try:
            await kind.run(job.payload, attempt)
        except asyncio.CancelledError:
            await self._mark(jobs.hand_back, job)
            raise
        except JobFailed as failure:
            await self._failed(job, failure)
        except Exception as error:  # whatever it is, the other jobs go on
            _log.exception("job_failed_by_a_defect", job=job.id, kind=job.kind)
            await self._failed(job, JobFailed(f"a defect of ours: {error}"))
        else:
            await self._mark(jobs.finish, job)

    async def _failed(self, job: TakenJob, failure: JobFailed) -> None:
        delay = delay_after(job.attempts, self._kinds[job.kind].delays, failure.retry_after)
        reason = str(failure)[:_FAILURE_LENGTH]
        if delay is None or isinstance(failure, JobHopeless):
            await self._give_up(job, reason)
            return
        _log.info("job_failed", job=job.id, kind=job.kind, reason=reason, again_in=delay)
        await self._mark(_postponed(delay), job, reason)

    async def _give_up(self, job: TakenJob, reason: str) -> None:
        _log.error("job_given_up", job=job.id, kind=job.kind, reason=reason)
        await self._mark(jobs.give_up, job, reason)

    async def _mark(
        self, mark: Callable[..., Awaitable[bool]], job: TakenJob, *arguments: str
    ) -> None:
        """What the database does not hear of, it learns when the lease is over."""
        try:
            async with self._pool.acquire() as conn:
                held = await mark(conn, self._runner, job, *arguments)
        except SERVER_DOWN as error:
            _log.warning("job_not_marked", job=job.id, error=repr(error))
            return
        if not held:
            _log.warning("job_was_taken_over", job=job.id, kind=job.kind)

    # holding on

    async def _renew_always(self) -> None:
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            await asyncio.sleep(self._lease / 3)
            if not self._running:
                renewed = loop.time()
                continue
            began = loop.time()
            try:
                await self._renew()
                renewed = began
            except SERVER_DOWN as error:
                _log.warning("jobs_not_renewed", error=repr(error))
            if loop.time() - renewed > self._lease * 0.8:
                # Somebody else may take them any moment: better undone than done twice at a time.
                self._stop_all()

    async def _renew(self) -> None:
        asked = {job: attempt.progress for job, (attempt, _) in self._running.items()}
        async with asyncio.timeout(self._lease / 3), self._pool.acquire() as conn:
            held = await jobs.renew(conn, self._runner, asked, lease=self._lease)
        for job in asked:
            if job.id not in held and job in self._running:
                self._running[job][1].cancel()

    def _stop_all(self) -> list[asyncio.Task[None]]:
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        return tasks


def _postponed(delay: float) -> Callable[[Connection, UUID, TakenJob, str], Awaitable[bool]]:
    async def postpone(conn: Connection, runner: UUID, job: TakenJob, failure: str) -> bool:
        return await jobs.postpone(conn, runner, job, delay=delay, failure=failure)

    return postpone
