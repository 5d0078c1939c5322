"""Work that repeats in the background until its owner cancels it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from conference.downtime import SERVER_DOWN
from conference.errors import NotFound

_log = structlog.get_logger(__name__)


async def alone(about: object, step: Awaitable[object]) -> None:
    """One of many that are due in a round: what it raises costs the others nothing. Servers that are down, which
    all of them need, pass through."""
    try:
        await step
    except NotFound:
        pass  # somebody else was quicker
    except SERVER_DOWN:
        raise
    except Exception:  # a defect that one sets off must not keep the sweep from the others
        _log.exception("sweep_passed_over", about=str(about))


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
