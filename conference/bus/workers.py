"""Which SFU workers are alive, and which of them should take the next meeting."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import msgspec
import structlog

from conference.bus.link import RedisLink
from schemas.sfu import WORKER_KEY_PREFIX, WorkerRecord, command_channel, worker_key

_COMMAND_CHANNELS = command_channel("*")
_SCAN_STEP = 1000
_LOAD_STEP = 0.1  # smaller differences are noise; the number of peers says more then

_log = structlog.get_logger(__name__)


class WorkerRegistry:
    """Reads the records that workers keep alive in Redis.

    Who to ask for is known from before, and from the command channels that are subscribed: there are few of
    those, while a scan passes all keys, channels included. Only the first look scans.
    """

    def __init__(self, link: RedisLink) -> None:
        self._lane = link.lane
        self._known: set[str] | None = None
        self._decoder = msgspec.msgpack.Decoder(WorkerRecord)

    async def alive(self) -> dict[str, WorkerRecord]:
        """Workers with a heartbeat, by id. Raises Unavailable."""
        known = await self._scanned() if self._known is None else self._known
        candidates = sorted(known | await self._subscribed())
        records = await self._records(candidates)
        self._known = set(records)
        return records

    async def _scanned(self) -> set[str]:
        found: set[str] = set()
        cursor = b"0"
        while True:
            reply = await self._lane.call(
                b"SCAN", cursor, b"MATCH", WORKER_KEY_PREFIX + "*", b"COUNT", _SCAN_STEP
            )
            cursor, names = cast("tuple[bytes, list[bytes]]", reply)
            found.update(name.decode().removeprefix(WORKER_KEY_PREFIX) for name in names)
            if cursor == b"0":
                return found

    async def _subscribed(self) -> set[str]:
        reply = await self._lane.call(b"PUBSUB", b"CHANNELS", _COMMAND_CHANNELS)
        prefix = _COMMAND_CHANNELS.removesuffix("*")
        return {name.decode().removeprefix(prefix) for name in cast("list[bytes]", reply)}

    async def _records(self, workers: list[str]) -> dict[str, WorkerRecord]:
        if not workers:
            return {}
        reply = await self._lane.call(b"MGET", *[worker_key(worker) for worker in workers])
        found: dict[str, WorkerRecord] = {}
        for worker, value in zip(workers, cast("list[bytes | None]", reply), strict=True):
            if value is None:
                continue
            try:
                found[worker] = self._decoder.decode(value)
            except msgspec.MsgspecError as error:
                _log.warning("worker_record_malformed", worker=worker, error=str(error))
        return found


def least_loaded(records: Iterable[WorkerRecord]) -> WorkerRecord | None:
    """The worker for the next meeting; None when all are draining or there is none."""
    open_ones = [record for record in records if not record.draining]
    return min(
        open_ones,
        key=lambda worker: (
            round(worker.load / _LOAD_STEP),
            worker.peers,
            worker.meetings,
            worker.id,
        ),
        default=None,
    )
