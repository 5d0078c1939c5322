"""A process of the supervisor's: started, started again when it ends, stopped in order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence

import structlog

from conference.machine.embedded.process import dies_with_parent

log = structlog.get_logger(__name__)

_FIRST_DELAY = 0.25
_LONGEST_DELAY = 10.0
_SETTLED = 30.0  # a process that lived this long did not fail at its start: forget its past


class Child:
    """One `parley` subcommand. `keep` runs until cancelled; then `stop`."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        stop_signal: signal.Signals,
        patience: float,
    ) -> None:
        self.name = name
        self.ends = 0
        """How often it ended by itself."""
        self.last_end = ""
        self._command = [sys.executable, "-m", "conference", *arguments]
        self._environment = environment
        self._stop_signal = stop_signal
        self._patience = patience
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def keep(self) -> None:
        """Start it, wait for its end, wait a little (longer each time), and again."""
        loop = asyncio.get_running_loop()
        delay = _FIRST_DELAY
        while True:
            began = loop.time()
            self._process = await self._start()
            code = await self._process.wait()
            if loop.time() - began > _SETTLED:
                delay = _FIRST_DELAY
            self.last_end = _described(code)
            self.ends += 1
            log.error("process ended", child=self.name, how=self.last_end, again_in=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    async def stop(self) -> None:
        """Ask, wait, kill. Returns when it is gone."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(self._stop_signal)
        try:
            await asyncio.wait_for(process.wait(), self._patience)
        except TimeoutError:
            log.warning("process did not stop in time, killing it", child=self.name)
            self.kill()
            await process.wait()

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _start(self) -> asyncio.subprocess.Process:
        # A session of its own: a Ctrl-C is for the supervisor, which stops things in order.
        # SIGKILL for orphans: the next supervisor must find the ports free.
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            env={**os.environ, **self._environment},
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGKILL),
        )
        log.info("process started", child=self.name, pid=process.pid)
        return process


def _described(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return f"signal {signal.Signals(-code).name}"
