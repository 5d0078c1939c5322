"""The whole application on loopback, and a bus beside it, for the tests of the channels' HTTP side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import msgspec
from aiohttp import web
from channel_rig import SOON, Rig, payload, until

from conference import tokens
from conference.api.connection import Runner
from conference.app import create_app
from config.settings import Settings

SECRET = "a secret that is only for tests, long enough"


def token_of(name: str) -> str:
    return tokens.issue(
        SECRET,
        user=tokens.user_named(name),
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
    )


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Server]:
    """An API process's application, listening."""
    runner = Runner(create_app(settings), read_within=settings.read_timeout, shutdown_timeout=2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server = Server(runner, runner.addresses[0][1])
    try:
        yield server
    finally:
        await server.stop()


class Server:
    def __init__(self, runner: web.AppRunner, port: int) -> None:
        self._runner = runner
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        """In order, as on SIGTERM. Idempotent."""
        await asyncio.wait_for(self._runner.cleanup(), SOON)


class User:
    """Someone who speaks HTTP to a server."""

    def __init__(self, session: aiohttp.ClientSession, url: str, name: str) -> None:
        self.session = session
        self.url = url
        self.token = token_of(name)
        self.headers = {"Authorization": f"Bearer {self.token}"}

    async def call(self, method: str, path: str) -> tuple[int, Any]:
        """Status and body."""
        async with self.session.request(method, self.url + path, headers=self.headers) as response:
            raw = await response.read()
            return response.status, msgspec.json.decode(raw) if raw else None

    async def get(self, path: str) -> Any:
        status, body = await self.call("GET", path)
        assert status == 200, body
        return body

    async def open(self) -> tuple[UUID, str]:
        """A new channel: its id, and the first address to poll."""
        status, body = await self.call("POST", "/channels")
        assert status == 201, body
        return UUID(body["queueId"]), body["events"]


class Stage:
    """Servers, users, and a way to publish that is another process as far as Redis can tell."""

    def __init__(self, stack: AsyncExitStack, settings: Settings, rig: Rig) -> None:
        self.stack = stack
        self.settings = settings
        self.rig = rig

    async def server(self, **changes: Any) -> Server:
        settings = msgspec.structs.replace(self.settings, **changes)
        return await self.stack.enter_async_context(serving(settings))

    async def user(self, server: Server, name: str = "alice") -> User:
        return await self.user_at(server.url, name)

    async def user_at(self, url: str, name: str = "alice") -> User:
        session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SOON))
        await self.stack.enter_async_context(session)
        return User(session, url, name)

    async def publish(self, queue_id: UUID, *numbers: int) -> None:
        for number in numbers:
            await self.rig.bus.publish(None, [queue_id], payload(number))

    async def until_read(self, queue_id: UUID) -> None:
        """Until a reader of the channel is parked."""

        async def parked() -> bool:
            key = f"parley:channel:{queue_id}"
            return bool(await self.rig.link.lane.call(b"HEXISTS", key, b"reader"))

        await until(parked)


@asynccontextmanager
async def stage_on(
    pool: asyncpg.Pool, database_url: str, redis_url: str, data_dir: Path
) -> AsyncIterator[Stage]:
    settings = Settings(
        database_url=database_url,
        redis_url=redis_url,
        data_dir=data_dir,
        jwt_secret=SECRET,
        channel_cap=100,
    )
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(Rig(pool, redis_url))
        yield Stage(stack, settings, rig)


def numbers(events: list[dict[str, str]]) -> list[int]:
    return [UUID(event["userId"]).int for event in events]
