"""How much a user has under way at once, over all API processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from conference.bus import keys, scripts
from conference.bus.link import RedisLink
from conference.errors import TooManyRequests, Unavailable

LASTS = 10.0
"""Seconds for which what a process counted holds up its user, should the process die."""


class Outstanding:
    """While Redis is away nobody is counted: a limit is no reason to refuse everybody."""

    def __init__(self, link: RedisLink, most: int, lasts: float = LASTS) -> None:
        """`most`: of a user's requests at one time."""
        self.most = most
        self._lane = link.lane
        self._lasts = lasts

    @asynccontextmanager
    async def counted(self, user_id: UUID, many: int) -> AsyncIterator[None]:
        """So many more, for as long as the context lasts. Raises TooManyRequests, and counts none then."""
        key, holder = f"{keys.OUTSTANDING}{user_id}", uuid4().hex
        if not await self._count(key, holder, many):
            raise TooManyRequests(
                f"more than {self.most} requests at once: wait for answers to earlier ones"
            )
        renewal = asyncio.create_task(self._renew(key, holder, many))
        try:
            yield
        finally:
            renewal.cancel()
            # awaited, so that who has the answer may send as many again, wherever that arrives
            await self._count(key, holder, 0)

    async def _renew(self, key: str, holder: str, many: int) -> None:
        while True:
            await asyncio.sleep(self._lasts / 3)
            await self._count(key, holder, many)

    async def _count(self, key: str, holder: str, many: int) -> bool:
        with contextlib.suppress(Unavailable):
            lasts = int(self._lasts * 1000)
            reply = await self._lane.call(
                b"EVALSHA", scripts.OUTSTANDING, 0, key, holder, many, self.most, lasts
            )
            return bool(reply)
        return True
