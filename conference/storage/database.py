"""The pool of database connections. A server that hangs costs a request some seconds, not for ever."""

from __future__ import annotations

import asyncpg

SIZE = 10
_CONNECT_WITHIN = 10.0
_COMMAND_WITHIN = 3.0
_ACQUIRE_WITHIN = 4.5
"""The wait for a connection, which may have to be made, and a command on it that is given up: each under 5 s."""
_LET_GO_WITHIN = 0.5
"""How long a server may take to hear that a command was given up, before its connection is closed instead."""


async def open_pool(url: str, *, size: int = SIZE) -> asyncpg.Pool:
    """Connections to `url`, at most `size`. Raises OSError, TimeoutError or asyncpg.PostgresError.

    A connection that broke is replaced by itself at its next use. Waiting for one, or for what it was asked, raises
    TimeoutError in time.
    """
    pool = _Pool(
        url,
        connection_class=_Connection,
        record_class=asyncpg.Record,
        init_size=None,
        min_size=1,
        max_size=size,
        max_queries=50_000,
        loop=None,
        connect=None,
        setup=None,
        init=None,
        reset=_as_it_is,
        max_inactive_connection_lifetime=300.0,
        timeout=_CONNECT_WITHIN,
        command_timeout=_COMMAND_WITHIN,
        server_settings={"application_name": "parley", "timezone": "UTC"},
    )
    return await pool


async def _as_it_is(conn: asyncpg.Connection) -> None:
    """Nothing here outlives its transaction: no setting, no lock, no cursor. asyncpg's own reset asks the server."""


class _Connection(asyncpg.Connection):
    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        """After a command that was given up there is a ROLLBACK, which need not wait as long again."""
        if timeout is None and self._protocol is not None and self._protocol._is_cancelling():  # type: ignore[attr-defined]
            timeout = _LET_GO_WITHIN
        return str(await super().execute(query, *args, timeout=timeout))


class _Pool(asyncpg.Pool):
    def acquire(self, *, timeout: float | None = None) -> asyncpg.pool.PoolAcquireContext:
        return super().acquire(timeout=_ACQUIRE_WITHIN if timeout is None else timeout)

    async def release(
        self, connection: asyncpg.pool.PoolConnectionProxy, *, timeout: float | None = None
    ) -> None:
        await super().release(connection, timeout=_LET_GO_WITHIN if timeout is None else timeout)
