"""What every benchmark of parked polls does around its measurement."""

from __future__ import annotations

import asyncio
import resource
import signal
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import uvloop

from parking.targets import TargetFailed

Result = TypeVar("Result")


def run(measure: Callable[[Path], Awaitable[Result]]) -> Result:
    """Measure in an empty folder, with as many open files as there may be. Ends the program when a server fails."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers are stopped
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def within(root: Path) -> Result:
        return await measure(root)

    with (
        tempfile.TemporaryDirectory(prefix="parley-bench-") as root,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop,
    ):
        try:
            return loop.run(within(Path(root)))
        except TargetFailed as failure:
            raise SystemExit(str(failure)) from None
