"""Which database and Redis a command talks to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from conference import reach
from conference.commands import CommandError
from conference.datadir import read_urls
from config.settings import Settings


def with_servers(settings: Settings) -> Settings:
    """The settings with both URLs: as set, else those of the embedded servers. Raises CommandError."""
    if settings.database_url and settings.redis_url:
        return settings
    urls = read_urls(settings.data_dir)
    if urls is None:
        missing = [name for name in ("database_url", "redis_url") if not getattr(settings, name)]
        raise CommandError(
            f"set {' and '.join('PARLEY_' + name.upper() for name in missing)}, or start the embedded "
            f"servers with `parley up` (none have run in {settings.data_dir.absolute()})"
        )
    return msgspec.structs.replace(
        settings,
        database_url=settings.database_url or urls.database_url,
        redis_url=settings.redis_url or urls.redis_url,
    )


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the database. Raises CommandError, UnreachableError."""
    async with reach.database(settings, database_url(settings)) as connection:
        yield connection


def database_url(settings: Settings) -> str:
    """As `with_servers`, for commands that need only the database."""
    url = settings.database_url or with_servers(settings).database_url
    assert url is not None
    return url
