"""What one API process holds of Redis: its lane of commands, its subscriptions and its name among the others."""

from __future__ import annotations

from conference.bus import keys, scripts
from conference.bus.redis import RedisLane
from conference.bus.subscriber import Subscriber


class RedisLink:
    """Open once per process, before anything that uses it begins, and close after all of that.

    Users subscribe in their constructors, so make them before `start`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.process = keys.new_process_name()
        self.lane = RedisLane(url, prepare=scripts.load_all)
        self.subscriber = Subscriber(url)

    def start(self) -> None:
        """Begin to connect; succeeds without Redis, which may come later."""
        self.lane.start()
        self.subscriber.start()

    async def close(self) -> None:
        """Idempotent."""
        await self.subscriber.close()
        await self.lane.close()

    async def ping(self) -> None:
        """Raises Unavailable."""
        await self.lane.call("PING")
