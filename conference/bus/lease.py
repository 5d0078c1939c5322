"""A lease in Redis: at most one of the API processes leads at a time."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from conference.bus import scripts
from conference.bus.link import RedisLink
from conference.errors import Unavailable

_SECONDS = 3.0
_RENEW_INTERVAL = 1.0
_MARGIN = 0.2  # for the way of the renewal's reply, and for clocks that run differently

_log = structlog.get_logger(__name__)


class Lease:
    """Tries to hold a lease and to keep it. A holder that dies is followed after three seconds."""

    def __init__(self, link: RedisLink, key: str) -> None:
        self._lane = link.lane
        self._key = key
        self._holder = link.process
        self._until = 0.0

    def held_for(self) -> float:
        """Seconds for which nobody else can hold it; 0 or less when it is not ours."""
        return self._until - asyncio.get_running_loop().time()

    async def keep(self) -> None:
        """Take it when it is free, renew it, until cancelled; then give it back."""
        try:
            while True:
                await self._try()
                await asyncio.sleep(_RENEW_INTERVAL)
        finally:
            await self._release()

    async def _try(self) -> None:
        asked_at = asyncio.get_running_loop().time()
        try:
            held = await self._lane.call(
                b"EVALSHA", scripts.LEASE, 0, self._key, self._holder, int(_SECONDS * 1000)
            )
        except Unavailable:
            return  # what is left of the lease is still ours
        if held and self.held_for() <= 0:
            _log.info("lease_taken", lease=self._key)
        self._until = asked_at + _SECONDS - _MARGIN if held else 0.0

    async def _release(self) -> None:
        self._until = 0.0
        with contextlib.suppress(Unavailable):
            await self._lane.call(b"EVALSHA", scripts.RELEASE, 0, self._key, self._holder)
