"""The media worker: one UDP port, the meetings placed on it, and its place in the registry.

socket -> packet path -> Endpoint -> Peer (ICE, DTLS), Feedback (RTCP, repair)
Redis  -> Control -> Meetings -> Session (who gets what of whom) -> Streams -> packet path
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from uuid import uuid4

import structlog

from config.settings import Settings
from schemas.sfu import Command, Notice, Result, WorkerRecord
from sfu.guard import Guard
from sfu.path.choice import native_available, open_path
from sfu.path.interface import Levels
from sfu.path.streams import Streams
from sfu.rtcp.feedback import Feedback
from sfu.session.connection import Media
from sfu.session.session import NoticeBody, Session
from sfu.transport.addresses import announced, bind
from sfu.transport.dtls import Certificate
from sfu.transport.endpoint import Endpoint
from sfu.worker.control import Control
from sfu.worker.load import Load
from sfu.worker.meetings import Meetings
from sfu.worker.ticker import Ticker

DRAIN_POLL = 0.2
CATCH_UP_US = 5_000
"""Of each 20 ms tick, what new offers, and closing what has ended, may take in all meetings together."""
STALLED_US = 3_000_000
"""A worker whose looks at its peers are so far apart was stopped itself, and finds out first who is still there."""

log = structlog.get_logger(__name__)


async def run(settings: Settings, redis_url: str, media_port: int) -> None:
    """Be a worker until told to stop.

    SIGTERM: take no new meeting, and end once nobody is connected, after `drain_timeout`, or at a second
    signal. SIGINT and cancellation: end now. Raises OSError when the port can't be had.
    """
    worker = Worker(settings, redis_url, media_port)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, worker.drain)
    loop.add_signal_handler(signal.SIGINT, worker.stop)
    try:
        await worker.serve()
    finally:
        await worker.close()


class Worker:
    """Wires the parts together and owns their tasks."""

    def __init__(self, settings: Settings, redis_url: str, media_port: int) -> None:
        sock = bind(settings.media_host, media_port)
        host, port = sock.getsockname()[:2]
        self.id = uuid4().hex
        self.path = open_path(sock, settings.native)
        self._announced = partial(announced, host, port, settings.media_announced)
        self.candidates = self._announced()
        self.endpoint = Endpoint(self.path, Certificate(), self.candidates)
        self.streams = Streams(self.path)
        cname = secrets.token_hex(8)
        self.feedback = Feedback(self.path, self.streams, cname, time.time)
        self.endpoint.sink = self.feedback
        self._guard = Guard(Counter(read_failed=0, tick_failed=0))
        media = Media(
            endpoint=self.endpoint,
            streams=self.streams,
            cname=cname,
            now_us=now_us,
            guard=self._guard,
        )
        self.meetings = Meetings(media, self._notify)
        self.control = Control(
            redis_url,
            self.id,
            execute=self._execute,
            record=self._record,
        )
        self._settings = settings
        self._native = settings.native != "off" and native_available()
        self._load = Load(time.monotonic, time.process_time)
        self._ending = asyncio.Event()
        self._now = asyncio.Event()
        self._ticker = self._schedule()
        self._media_in = 0
        self._expired_us = now_us()

    async def serve(self) -> None:
        """Forward media and carry out commands until drained or stopped."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self.path.fileno(), self._read)
        log.info("worker_started", worker=self.id, media=self._media())
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.control.run()),
                group.create_task(self._ticker.run()),
            ]
            await self._ending.wait()
            await self._drained()
            for task in tasks:
                task.cancel()

    def drain(self) -> None:
        """Take no new meeting and end once nobody is connected. A second time: end now."""
        if self.meetings.draining:
            self.stop()
            return
        log.info("worker_draining", worker=self.id, peers=self.endpoint.peers)
        self.meetings.draining = True
        self.control.announce()
        self._ending.set()

    def stop(self) -> None:
        """End now."""
        self.meetings.draining = True
        self._ending.set()
        self._now.set()

    async def close(self) -> None:
        """Tell the registry, then the clients, then let go of the socket."""
        await self.control.close()
        self.meetings.close()
        await self.endpoint.close()
        asyncio.get_running_loop().remove_reader(self.path.fileno())
        self.path.close()
        log.info("worker_stopped", worker=self.id)

    def look_around(self, _now: int) -> None:
        """Tell who comes from now on of addresses that the machine has got since, and of none that it has lost."""
        found = self._announced()
        if found != self.candidates:
            self.candidates = found
            self.endpoint.candidates = tuple(found)
            log.info("addresses_changed", worker=self.id, media=self._media())

    async def registered(self) -> None:
        """Wait until meetings may be placed here."""
        await self.control.registered()

    def counters(self) -> dict[str, int]:
        """Everything that was counted since the start, the path's figures included."""
        parts = (
            self.endpoint.counters,
            self.feedback.counters,
            self.streams.guard.counters,
            self.control.counters,
            self._guard.counters,
        )
        merged = dict(self.path.counters())
        for part in parts:
            merged |= part
        return merged

    def leftovers(self) -> dict[str, int]:
        """Sizes of the tables; all zero when nobody is connected."""
        return self.endpoint.leftovers() | self.streams.leftovers()

    async def _drained(self) -> None:
        """Bounded by `drain_timeout`."""
        try:
            async with asyncio.timeout(self._settings.drain_timeout):
                while self.endpoint.peers and not self._now.is_set():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._now.wait(), DRAIN_POLL)
        except TimeoutError:
            log.warning("drain_timed_out", peers=self.endpoint.peers)

    def _schedule(self) -> Ticker:
        ticker = Ticker(now_us, self._guard)
        ticker.every(0.02, self.feedback.repair)
        ticker.every(0.02, self.feedback.congestion)
        ticker.every(0.02, self._catch_up)
        ticker.every(0.1, self._hear)
        ticker.every(0.02, self.feedback.report)
        ticker.every(1.0, self._expire)
        ticker.every(10.0, self.look_around)
        return ticker

    def _execute(self, command: Command) -> Result:
        # Viewers may have to be told of what it changes.
        self._ticker.hurry()
        return self.meetings.execute(command)

    def _read(self) -> None:
        now = now_us()
        # Whatever a datagram sets off, the port stays open for everybody else.
        with self._guard.over("read"):
            self.endpoint.dispatch(self.path.drain(now), now)
        self._hurry_for_media()

    def _hurry_for_media(self) -> None:
        media_in = self.path.media_in()
        if media_in != self._media_in:
            self._media_in = media_in
            self._ticker.hurry()

    def _hear(self, now: int) -> None:
        levels: dict[int, Levels] = {item.track: item for item in self.path.levels()}
        for session in self.meetings:
            with self._guard.over("levels", meeting_id=str(session.meeting)):
                session.heard(levels, now)

    def _catch_up(self, now: int) -> None:
        if self.meetings.close_some(now + CATCH_UP_US):
            self._ticker.hurry()
        for session in self.meetings:
            with self._guard.over("catch_up", meeting_id=str(session.meeting)):
                if session.catch_up(now + CATCH_UP_US):
                    self._ticker.hurry()

    def _expire(self, now: int) -> None:
        stalled = now - self._expired_us > STALLED_US
        self._expired_us = now
        if stalled:
            return  # nobody was silent, we were deaf: what came meanwhile has not been read yet
        with self._guard.over("expiry"):
            self.endpoint.expire(now, int(self._settings.peer_timeout * 1_000_000))
        for session in self.meetings:
            with self._guard.over("expiry", meeting_id=str(session.meeting)):
                session.tick(now)
        self.meetings.forget_idle(now)

    def _notify(self, session: Session, body: NoticeBody) -> None:
        self.control.notify(
            Notice(worker=self.id, meeting=session.meeting, epoch=session.epoch, body=body)
        )

    def _record(self) -> WorkerRecord:
        held = self.streams.leftovers()
        return WorkerRecord(
            id=self.id,
            pid=os.getpid(),
            load=round(self._load.look(), 3),
            meetings=len(self.meetings),
            peers=self.endpoint.peers,
            draining=self.meetings.draining,
            native=self._native,
            media=self._media(),
            tracks=held["tracks"],
            legs=held["legs"],
            counters=self.counters(),
        )

    def _media(self) -> list[str]:
        return [
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            for host, port in self.candidates
        ]


def now_us() -> int:
    """The packet path's clock."""
    return time.monotonic_ns() // 1000
