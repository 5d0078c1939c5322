"""Run as a process of its own, to be killed: changes that tell of themselves, and their publishing.

Arguments: database URL, Redis URL, queue id, first number, and where to stop and wait for the kill:
`committed` (before publishing), `appended` (published, its row not deleted yet), or `nowhere` (go on and on).
Prints each number once its change is committed.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any
from uuid import UUID

from channel_rig import MEETING, Rig, joined

from conference.storage.database import open_pool


async def main(database_url: str, redis_url: str, queue: UUID, first: int, stop: str) -> None:
    pool = await open_pool(database_url)
    async with Rig(pool, redis_url) as rig:
        if stop == "appended":
            _wait_after(rig)
        for number in itertools.count(first):
            await rig.change(joined(number, queues=(queue,)))
            print(number, flush=True)
            if stop == "committed":
                await _wait_for_the_kill()
            await rig.relay.flush(MEETING)


def _wait_after(rig: Rig) -> None:
    """Published, and that not committed."""
    publish = rig.bus.publish

    async def published(*given: Any, **named: Any) -> bool:
        done = await publish(*given, **named)
        await _wait_for_the_kill()
        return done

    rig.bus.publish = published  # type: ignore[method-assign]


async def _wait_for_the_kill(*_: object) -> None:
    print("waiting", flush=True)
    await asyncio.sleep(600)


if __name__ == "__main__":
    database_url, redis_url, queue, first, stop = sys.argv[1:]
    asyncio.run(main(database_url, redis_url, UUID(queue), int(first), stop))
