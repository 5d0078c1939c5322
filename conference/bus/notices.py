"""Notices of SFU workers, handled once, by one API process at a time, in order for each meeting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import asyncpg
import msgspec
import structlog

from conference.bus import keys
from conference.bus.lease import Lease
from conference.bus.link import RedisLink
from conference.bus.redis import CommandRefused, RedisLane
from conference.downtime import SERVER_DOWN
from conference.errors import Unavailable
from schemas.sfu import NOTICE_FIELD, NOTICE_STREAM, Notice

Handle = Callable[[str, Notice], Awaitable[None]]

_CONSUMER = "leader"
"""One name for all leaders: what one had read and not finished is the next one's own unfinished work."""
_AT_ONCE = 64
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
                await asyncio.sleep(_IDLE)
        finally:
            lease.cancel()
            await asyncio.gather(lease, return_exceptions=True)
            await self._blocking.close()

    async def _lead(self) -> None:
        """Unfinished work first, and again whenever there is nothing new; returns when the lease is lost."""
        fresh = False
        while self._lease.held_for() > _BLOCK:
            entries = await self._read(b">" if fresh else b"0")
            await self._work_off(entries)
            if self._lease.held_for() <= 0:
                return
            fresh = not entries if not fresh else bool(entries)

    async def _read(self, start: bytes) -> list[tuple[bytes, list[bytes] | None]]:
        reply = await self._blocking.call(
            b"XREADGROUP", b"GROUP", keys.NOTICE_GROUP, _CONSUMER, b"COUNT", _AT_ONCE,
            b"BLOCK", int(_BLOCK * 1000), b"STREAMS", NOTICE_STREAM, start,
        )  # fmt: skip
        streams = cast("list[tuple[bytes, list[tuple[bytes, list[bytes] | None]]]] | None", reply)
        return streams[0][1] if streams else []

    async def _work_off(self, entries: Sequence[tuple[bytes, list[bytes] | None]]) -> None:
        """Meetings side by side, the notices of each in order."""
        meetings: dict[object, list[tuple[bytes, Notice]]] = {}
        for entry_id, fields in entries:
            if (notice := self._decode(entry_id, fields)) is None:
                await self._done(entry_id)
            else:
                meetings.setdefault(notice.meeting, []).append((entry_id, notice))
        async with asyncio.TaskGroup() as group:
            for notices in meetings.values():
                group.create_task(self._work_off_meeting(notices))

    async def _work_off_meeting(self, notices: Sequence[tuple[bytes, Notice]]) -> None:
        for entry_id, notice in notices:
            if not await self._handled(entry_id.decode(), notice):
                return
            try:
                await self._done(entry_id)
            except Unavailable:
                return  # it and those after it come again

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
