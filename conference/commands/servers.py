"""Which database and Redis a command talks to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from conference.commands import CommandError
from conference.machine import reach
from conference.machine.datadir import ServerUrls, read_urls
from config.settings import Settings


def with_servers(settings: Settings) -> Settings:
    """The settings with both URLs: as set, else those of the embedded servers. Raises CommandError."""
    if settings.database_url and settings.redis_url:
        return settings
    urls = _embedded(settings, "database_url", "redis_url")
    return msgspec.structs.replace(
        settings,
        database_url=settings.database_url or urls.database_url,
        redis_url=settings.redis_url or urls.redis_url,
    )


def database_url(settings: Settings) -> str:
    """As `with_servers`, for commands that need only the database."""
    return settings.database_url or _embedded(settings, "database_url").database_url


def redis_url(settings: Settings) -> str:
    """The same for a worker, which needs no database."""
    return settings.redis_url or _embedded(settings, "redis_url").redis_url


def _embedded(settings: Settings, *needed: str) -> ServerUrls:
    urls = read_urls(settings.data_dir)
    if urls is None:
        missing = [f"PARLEY_{name.upper()}" for name in needed if not getattr(settings, name)]
        raise CommandError(
            f"no embedded servers have run in {settings.data_dir.absolute()}: start them with `parley up`, set "
            f"PARLEY_DATA_DIR to the directory of one that runs, or set {' and '.join(missing)}"
        )
    return urls


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the database. Raises CommandError, UnreachableError."""
    async with reach.database(settings, database_url(settings)) as connection:
        yield connection
