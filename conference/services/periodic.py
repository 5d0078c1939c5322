"""Work that repeats in the background until its owner cancels it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from conference.downtime import SERVER_DOWN

_log = structlog.get_logger(__name__)


async def repeat(name: str, step: Callable[[], Awaitable[None]], interval: float) -> None:
    """Do `step`, wait `interval` seconds, and so on. A failing step is logged and tried again in time."""
    down = False
    while True:
        try:
            await step()
            down = False
        except SERVER_DOWN as error:
            if not down:
                _log.warning("periodic_work_waits", work=name, error=repr(error))
            down = True
        except Exception:  # a bug in one round must not end all later rounds
            _log.exception("periodic_work_failed", work=name)
        await asyncio.sleep(interval)
