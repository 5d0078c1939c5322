"""The pool of database connections."""

from __future__ import annotations

import asyncpg

_CONNECT_TIMEOUT = 10.0
_COMMAND_TIMEOUT = 30.0


async def open_pool(url: str, *, size: int = 10) -> asyncpg.Pool:
    """Connections to `url`, at most `size`. Raises OSError, TimeoutError or asyncpg.PostgresError.

    A connection that broke is replaced by itself at its next use.
    """
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        timeout=_CONNECT_TIMEOUT,
        command_timeout=_COMMAND_TIMEOUT,
        server_settings={"application_name": "parley", "timezone": "UTC"},
    )
