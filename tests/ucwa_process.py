"""`parley api` as a process of its own, to be spoken to and to be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientError, ClientSession
from rig_meetings import SECRET, WITHIN, Api
from yarl import URL

from conference.machine.embedded.process import dies_with_parent


class Address:
    """Stands in for a test server."""

    def __init__(self, port: int) -> None:
        self._base = URL(f"http://127.0.0.1:{port}")

    def make_url(self, path: str | URL) -> URL:
        return self._base.join(URL(str(path), encoded=True))


class Process:
    def __init__(self, environ: dict[str, str], port: int, log: Path) -> None:
        self._environ = {**environ, "PARLEY_HTTP_PORT": str(port)}
        self._log = log
        self._running: asyncio.subprocess.Process | None = None
        self._session = ClientSession()
        self.api = Api(Address(port), self._session)  # type: ignore[arg-type]

    async def start(self) -> None:
        """Returns once it answers."""
        with self._log.open("ab") as log:
            self._running = await asyncio.create_subprocess_exec(
                *[sys.executable, "-m", "conference", "api"],
                env=self._environ,
                stdout=log,
                stderr=log,
                preexec_fn=dies_with_parent(signal.SIGKILL),
            )
        async with asyncio.timeout(WITHIN):
            while not await self._answers():
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """By SIGKILL. Idempotent."""
        if self._running is not None and self._running.returncode is None:
            self._running.kill()
            await self._running.wait()

    async def close(self) -> None:
        await self.kill()
        await self._session.close()

    async def _answers(self) -> bool:
        try:
            return (await self.api.call("GET", "/healthz")).status == 200
        except ClientError:
            return False


@asynccontextmanager
async def process(
    database_url: str, redis_url: str, data_dir: Path, **settings: object
) -> AsyncIterator[Process]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    named = {f"PARLEY_{name.upper()}": str(value) for name, value in settings.items()}
    environ = {
        **os.environ,
        "PARLEY_DATABASE_URL": database_url,
        "PARLEY_REDIS_URL": redis_url,
        "PARLEY_DATA_DIR": str(data_dir),
        "PARLEY_JWT_SECRET": SECRET,
        **named,
    }
    running = Process(environ, port, data_dir / f"api-{port}.log")
    try:
        await running.start()
        yield running
    finally:
        await running.close()
