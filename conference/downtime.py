"""What it looks like from here when PostgreSQL or Redis is down: it passes, and is no bug of ours."""

from __future__ import annotations

import asyncpg
import redis.exceptions

from conference.errors import Unavailable

SERVER_DOWN = (
    Unavailable,
    asyncpg.PostgresConnectionError,  # class 08
    asyncpg.InsufficientResourcesError,  # class 53: disk full, out of memory, too many connections
    asyncpg.OperatorInterventionError,  # class 57: shut down, crashed, starting, a query cancelled
    asyncpg.PostgresSystemError,  # class 58: a disk that fails
    asyncpg.ReadOnlySQLTransactionError,  # it became a standby
    asyncpg.LockNotAvailableError,
    asyncpg.InterfaceError,  # the connection closed under us
    asyncpg.InternalClientError,  # it closed while the driver was about to write
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.BusyLoadingError,
    OSError,
    TimeoutError,
)
