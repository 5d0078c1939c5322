"""Whether PostgreSQL and Redis answer, and what to say when they don't: which setting, where, why, what to do."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit

import asyncpg
from redis import asyncio as aioredis
from redis.exceptions import RedisError

from config.settings import Settings

WITHIN = 10.0
TROUBLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, RedisError, ValueError)
"""What asking a server may raise: it is away, refuses, or its URL can't be used."""

Server = Literal["database", "redis"]
_NAMES: dict[Server, str] = {"database": "PostgreSQL", "redis": "Redis or Valkey"}


class UnreachableError(RuntimeError):
    """A server that is needed does not answer; the text names the setting and says what to do."""


@asynccontextmanager
async def database(settings: Settings, url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection. `url` is the setting's or the embedded server's. Raises UnreachableError."""
    try:
        connection = await asyncpg.connect(url, timeout=WITHIN)
    except TROUBLE as error:
        raise UnreachableError(_said("database", settings.database_url, url, error)) from None
    try:
        yield connection
    finally:
        await connection.close()


async def redis(settings: Settings, url: str) -> None:
    """Asks once. Raises UnreachableError."""
    try:
        async with asyncio.timeout(WITHIN), aioredis.from_url(url) as client:
            await client.time()
    except TROUBLE as error:
        raise UnreachableError(_said("redis", settings.redis_url, url, error)) from None


def place(url: str) -> str:
    """A URL's server without what may be secret in it."""
    return urlsplit(url).netloc.rpartition("@")[2] or "a unix socket"


def reason(error: BaseException) -> str:
    """Why, in words."""
    match _cause(error):
        case TimeoutError():
            return "no answer in time"
        case socket.gaierror():
            return "this name has no address here"
        case OSError(errno=int(number)):
            return os.strerror(number).lower()
    return str(error)


def _cause(error: BaseException) -> BaseException | None:
    return error if isinstance(error, OSError) else error.__cause__ or error.__context__


def _said(server: Server, configured: str | None, url: str, error: BaseException) -> str:
    setting = f"PARLEY_{server.upper()}_URL"
    if not configured:
        return (
            f"the embedded {_NAMES[server]} does not answer ({reason(error)}): start `parley up` with this "
            f"data directory (PARLEY_DATA_DIR), or set {setting} to a server of yours"
        )
    there = f"{_NAMES[server]} at {place(url)}"
    found = f"no {there}" if isinstance(_cause(error), OSError) else f"{there} refuses"
    return (
        f"{setting}: {found} ({reason(error)}). Start it and let this machine in, or correct {setting}; "
        "without it the embedded one of `parley up` is used"
    )
