"""For operators: is the process alive, can it serve, what are its figures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import asyncpg
from aiohttp import web

from conference.api.body import answer
from conference.api.metrics import CONTENT_TYPE, JobFigures, Metrics
from conference.api.openapi import Operation
from conference.api.operators import Operators
from conference.api.worker_metrics import WorkerFigures
from conference.downtime import SERVER_DOWN
from conference.errors import MediaFailed
from conference.storage import figures, jobs
from conference.storage.jobs import JobFigure
from schemas.ops import Check, Health, Readiness
from schemas.sfu import WorkerRecord

_CHECK_WITHIN = 2.0
_MEANING = {
    "outbox": ("parley_outbox_backlog", "Events committed and not yet in their channels"),
    "meetings": ("parley_meetings", "Meetings"),
    "active": ("parley_meetings_active", "Meetings that are active"),
    "participants": ("parley_participants", "People in meetings"),
    "waiting": ("parley_waiting", "People in waiting rooms"),
    "channels": ("parley_channels", "Event channels"),
}


class Workers(Protocol):
    async def alive(self) -> dict[str, WorkerRecord]: ...


class OpsViews:
    def __init__(
        self,
        pool: asyncpg.Pool,
        ping_redis: Callable[[], Awaitable[None]],
        workers: Workers,
        metrics: Metrics,
        parked: Callable[[], int],
        operators: Operators,
    ) -> None:
        """`parked`: how many polls and streams wait in this process. Only `operators` are told more than whether it
        is alive and ready."""
        self._operators = operators
        self._pool = pool
        self._ping_redis = ping_redis
        self._workers = workers
        self._metrics = metrics
        self._parked = parked
        self._seen: Collection[WorkerRecord] = ()
        self._jobs: Collection[JobFigure] = ()
        metrics.registry.register(WorkerFigures(lambda: self._seen))
        metrics.registry.register(JobFigures(lambda: self._jobs))

    async def health(self, request: web.Request) -> web.Response:
        return answer(Health(status="alive"))

    async def readiness(self, request: web.Request) -> web.Response:
        database, redis, workers = await asyncio.gather(
            _check(self._ping_database()), _check(self._ping_redis()), _check(self._any_worker())
        )
        ready = database.ok and redis.ok and workers.ok
        state = Readiness(ready=ready)
        if self._operators.has(request):
            state = Readiness(ready=ready, database=database, redis=redis, workers=workers)
        return answer(state, 200 if ready else 503)

    async def figures(self, request: web.Request) -> web.Response:
        """What can't be asked is left out (workers) or left as it was (the database's). Raises Unauthenticated."""
        self._operators.require(request)
        self._metrics.gauge(
            "parley_parked_readers", "Polls and streams waiting in this process", self._parked()
        )
        if not (await _check(self._count())).ok:
            self._metrics.gauge("parley_database_up", "Whether the database answered", 0)
        if not (await _check(self._look_at_workers())).ok:
            self._seen = ()
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def _count(self) -> None:
        async with self._pool.acquire() as conn:
            totals = await figures.totals(conn)
            self._jobs = await jobs.figures(conn)
        for field, (name, meaning) in _MEANING.items():
            self._metrics.gauge(name, meaning, getattr(totals, field))
        self._metrics.gauge("parley_database_up", "Whether the database answered", 1)

    async def _ping_database(self) -> None:
        async with self._pool.acquire() as conn:
            await conn.fetchval("select 1")

    async def _look_at_workers(self) -> None:
        self._seen = (await self._workers.alive()).values()

    async def _any_worker(self) -> None:
        records = (await self._workers.alive()).values()
        if all(record.draining for record in records):
            raise MediaFailed("every media worker drains" if records else "no media worker")


async def _check(attempt: Awaitable[None]) -> Check:
    try:
        async with asyncio.timeout(_CHECK_WITHIN):
            await attempt
    except (MediaFailed, *SERVER_DOWN, asyncpg.PostgresError) as error:
        return Check(ok=False, reason=str(error) or type(error).__name__)
    return Check(ok=True)


def operations(views: OpsViews) -> list[Operation]:
    return [
        Operation(
            id="getHealth",
            method="GET",
            path="/healthz",
            handler=views.health,
            summary="Whether this process is alive",
            tag="operations",
            returns={200: Health},
            public=True,
        ),
        Operation(
            id="getReadiness",
            method="GET",
            path="/readyz",
            handler=views.readiness,
            summary="Whether it can serve: database, Redis and at least one media worker. Operators hear which can't",
            tag="operations",
            returns={200: Readiness, 503: Readiness},
            public=True,
        ),
        Operation(
            id="getMetrics",
            method="GET",
            path="/metrics",
            handler=views.figures,
            summary="Figures in Prometheus' text format, for operators",
            tag="operations",
            returns={200: str},
            media_type="text/plain",
            public=True,
        ),
    ]
