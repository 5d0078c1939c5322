"""Work that any API process may do, and that one at a time does."""

from __future__ import annotations

from conference.bus.link import RedisLink


class Turn:
    """Whoever asks first has the turn, and nobody another one for `seconds`.

    Nobody holds on to it: when the process that had the last turn dies, another one has the next.
    """

    def __init__(self, link: RedisLink, key: str, seconds: float) -> None:
        self._lane = link.lane
        self._key = key
        self._holder = link.process
        self._milliseconds = int(seconds * 1000)

    async def take(self) -> bool:
        """Raises Unavailable."""
        reply = await self._lane.call(
            b"SET", self._key, self._holder, b"NX", b"PX", self._milliseconds
        )
        return reply is not None
