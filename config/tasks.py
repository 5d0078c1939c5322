"""Ending tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

_PATIENCE = 0.25
"""What a task gets for its cleaning up before it is cancelled again."""


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel until all have ended, whatever they end with. Cancelled itself, it finishes first.

    Once is not enough: `asyncio.wait_for`, which redis-py and asyncpg go through, swallows a cancellation that comes
    just as its work is done (CPython issue 86296, mended in 3.12), and a loop around it goes on.
    """
    interrupted: asyncio.CancelledError | None = None
    while pending := {task for task in tasks if not task.done()}:
        for task in pending:
            task.cancel()
        waiting = asyncio.ensure_future(asyncio.wait(pending, timeout=_PATIENCE))
        while not waiting.done():
            try:
                await asyncio.shield(waiting)
            except asyncio.CancelledError as error:
                # Who ends tasks is often being ended itself, by this function and thus more than once.
                interrupted = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # seen
    if interrupted is not None:
        raise interrupted
