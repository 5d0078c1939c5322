"""Notices of SFU workers, handled once, by one API process at a time, in order for each meeting."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import cast
from uuid import UUID

import asyncpg
import msgspec
import structlog

from conference.bus import keys
from conference.bus.lease import Lease
from conference.bus.link import RedisLink
from conference.bus.redis import CommandRefused, RedisLane
from conference.downtime import SERVER_DOWN
from conference.errors import Unavailable
from config.tasks import end
from schemas.sfu import NOTICE_FIELD, NOTICE_STREAM, Notice

Handle = Callable[[str, Notice], Awaitable[None]]

_CONSUMER = "leader"
"""One name for all leaders: what one had read and not finished is the next one's own unfinished work."""
_AT_ONCE = 64
_UNDER_WAY_MOST = 1000
_MEETING_MOST = 100
_BLOCK = 0.5  # seconds
_HANDLING_LIMIT = 30.0  # seconds
_IDLE = 0.2  # seconds between looks at the lease, while another process leads
_RETRY_DELAYS = (0.1, 0.5)
_OUTAGE_DELAYS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
_OUTAGES = (*SERVER_DOWN, asyncpg.OperatorInterventionError)

_log = structlog.get_logger(__name__)


class NoticeReader:
    """`handle` gets the notice's id, which is the same when the notice comes again, and the notice.

    A notice comes again when a leader died before it was done with it. One whose handling fails is tried
    again: soon and a few times, or, when the database or Redis is away, for half a minute; then it is dropped.
    Meetings work theirs off side by side: one whose handling hangs or fails keeps no other's waiting.
    """

    def __init__(
        self,
        link: RedisLink,
        handle: Handle,
        *,
        retry_delays: Sequence[float] = _RETRY_DELAYS,
        outage_delays: Sequence[float] = _OUTAGE_DELAYS,
    ) -> None:
        self._lane = link.lane
        self._blocking = RedisLane(link.url)
        self._lease = Lease(link, keys.NOTICE_LEASE)
        self._handle = handle
        self._retry_delays = retry_delays
        self._outage_delays = outage_delays
        self._decoder = msgspec.msgpack.Decoder(Notice)
        self._lines: dict[UUID, deque[tuple[bytes, Notice]]] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._under_way: set[bytes] = set()
        self._left_behind = False
        """Something that was read is not under way and not done with either."""
        self._moved = asyncio.Event()
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Lead whenever possible, until cancelled."""
        self._blocking.start()
        lease = asyncio.create_task(self._lease.keep(), name="notice lease")
        try:
            while True:
                try:
                    await self._lead()
                except Unavailable:
                    pass
                except CommandRefused as error:
                    await self._make_group(error)
                except Exception:  # a defect here must not leave all later notices unread
                    _log.exception("notices_failed")
                await asyncio.sleep(_IDLE)
        finally:
            await end([lease])
            await self._blocking.close()

    async def _lead(self) -> None:
        """Unfinished work first, then what is new, while meetings work off theirs; returns when the lease is lost."""
        start = b"0"
        self._left_behind = False
        try:
            while self._lease.held_for() > _BLOCK:
                if len(self._under_way) >= _UNDER_WAY_MOST:
                    await self._progress()
                    continue
                if self._left_behind:
                    await asyncio.sleep(_IDLE)
                    start, self._left_behind = b"0", False
                entries = await self._read(start)
                for entry_id, fields in entries:
                    await self._take(entry_id, fields)
                start = entries[-1][0] if entries and start != b">" else b">"
        finally:
            await self._stop()

    async def _take(self, entry_id: bytes, fields: list[bytes] | None) -> None:
        """Put it behind those of its meeting, which begins to work them off."""
        if entry_id in self._under_way:
            return
        notice = self._decode(entry_id, fields)
        if notice is None:
            await self._done(entry_id)
            return
        line = self._lines.get(notice.meeting)
        if line is None:
            line = self._lines[notice.meeting] = deque()
            working = asyncio.create_task(self._work_off(notice.meeting, line))
            self._working.add(working)
            working.add_done_callback(self._working.discard)
        elif len(line) >= _MEETING_MOST:
            # Its handling hangs; what it does not get to know must not stop the others.
            _log.warning("notice_dropped", notice=entry_id.decode(), meeting=str(notice.meeting))
            await self._done(entry_id)
            return
        line.append((entry_id, notice))
        self._under_way.add(entry_id)

    async def _progress(self) -> None:
        self._moved.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_BLOCK):
                await self._moved.wait()

    async def _stop(self) -> None:
        """What is not done with is the next leader's."""
        await end(list(self._working))

    async def _read(self, start: bytes) -> list[tuple[bytes, list[bytes] | None]]:
        reply = await self._blocking.call(
            b"XREADGROUP", b"GROUP", keys.NOTICE_GROUP, _CONSUMER, b"COUNT", _AT_ONCE,
            b"BLOCK", int(_BLOCK * 1000), b"STREAMS", NOTICE_STREAM, start,
        )  # fmt: skip
        streams = cast("list[tuple[bytes, list[tuple[bytes, list[bytes] | None]]]] | None", reply)
        return streams[0][1] if streams else []

    async def _work_off(self, meeting: UUID, line: deque[tuple[bytes, Notice]]) -> None:
        """One meeting's, in order. Where it stops short, they come again."""
        try:
            while line:
                entry_id, notice = line[0]
                async with self._at_once:
                    if not await self._handled(entry_id.decode(), notice):
                        self._left_behind = True
                        return
                    await self._done(entry_id)
                line.popleft()
                self._under_way.discard(entry_id)
                self._moved.set()
        except (Unavailable, CommandRefused):
            self._left_behind = True
        finally:
            self._under_way.difference_update(entry_id for entry_id, _ in line)
            del self._lines[meeting]
            self._moved.set()

    async def _handled(self, entry_id: str, notice: Notice) -> bool:
        """True when it is done with, also by giving up; False when the lease is lost."""
        attempts = 0
        while self._lease.held_for() > 0:
            try:
                async with asyncio.timeout(_HANDLING_LIMIT):
                    await self._handle(entry_id, notice)
                return True
            except (
                Exception
            ) as error:  # a handler's bug costs its notice, not those of all meetings
                outage = isinstance(error, _OUTAGES)
                delays = self._outage_delays if outage else self._retry_delays
                if attempts >= len(delays):
                    _log.exception("notice_dropped", notice=entry_id, attempts=attempts + 1)
                    return True
                _log.warning(
                    "notice_failed", notice=entry_id, error=repr(error), exc_info=not outage
                )
            await asyncio.sleep(delays[attempts])
            attempts += 1
        return False

    def _decode(self, entry_id: bytes, fields: list[bytes] | None) -> Notice | None:
        """None for one that was trimmed away or that nobody can read."""
        values = dict(zip(fields[::2], fields[1::2], strict=True)) if fields else {}
        try:
            return self._decoder.decode(values[NOTICE_FIELD])
        except (KeyError, msgspec.MsgspecError) as error:
            _log.warning("notice_malformed", notice=entry_id.decode(), error=repr(error))
            return None

    async def _done(self, entry_id: bytes) -> None:
        self._lane.submit(b"XDEL", NOTICE_STREAM, entry_id)
        await self._lane.call(b"XACK", NOTICE_STREAM, keys.NOTICE_GROUP, entry_id)

    async def _make_group(self, error: CommandRefused) -> None:
        """The group is missing at first, and after Redis was emptied."""
        if not str(error).startswith("NOGROUP"):
            _log.error("notices_refused", error=str(error))
            return
        try:
            await self._lane.call(
                b"XGROUP", b"CREATE", NOTICE_STREAM, keys.NOTICE_GROUP, b"0", b"MKSTREAM"
            )
        except (Unavailable, CommandRefused) as failure:  # BUSYGROUP: another process was faster
            _log.debug("notice_group_not_made", error=str(failure))
