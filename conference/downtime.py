"""What it looks like from here when PostgreSQL or Redis is down: it passes, and is no bug of ours."""

from __future__ import annotations

import asyncpg
import redis.exceptions

from conference.errors import Unavailable

SERVER_DOWN = (
    Unavailable,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # the connection closed under us
    asyncpg.InternalClientError,  # it closed while the driver was about to write
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.BusyLoadingError,
    OSError,
    TimeoutError,
)
