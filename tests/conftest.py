"""Real servers for all tests: one PostgreSQL and one Valkey per session, a fresh database per test.

The fixtures that start servers are synchronous: a server belongs to the main thread, not to a test's loop.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
import redis

from conference.embedded import PostgresServer, ValkeyServer
from conference.storage.database import open_pool
from conference.storage.migrate import migrate

T = TypeVar("T")
Server = TypeVar("Server", PostgresServer, ValkeyServer)

_TEMPLATE = "parley_template"
_names = itertools.count(1)


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine from synchronous code, whether or not this thread has a loop running."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result(60)


@pytest.fixture(scope="session")
def server_dir() -> Iterator[Path]:
    """Short, because of the sockets in it."""
    path = Path(tempfile.mkdtemp(prefix="parley-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(server_dir: Path) -> Iterator[PostgresServer]:
    """The session's PostgreSQL. Do not stop it: ask for `private_postgres`."""
    server = PostgresServer(server_dir, durable=False)
    server.start()
    run_apart(_prepare_template(server))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey_server(server_dir: Path) -> Iterator[ValkeyServer]:
    """The session's Valkey. Do not stop it: ask for `private_valkey`."""
    server = ValkeyServer(server_dir, durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh, migrated database of this test's own."""
    name = f"test_{next(_names)}"
    admin = postgres_server.url_of("postgres")
    run_apart(_execute(admin, f"create database {name} template {_TEMPLATE}"))
    yield postgres_server.url_of(name)
    run_apart(_execute(admin, f"drop database {name} with (force)"))


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"test_{next(_names)}"
    admin = postgres_server.url_of("postgres")
    run_apart(_execute(admin, f"create database {name}"))
    yield postgres_server.url_of(name)
    run_apart(_execute(admin, f"drop database {name} with (force)"))


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to `database_url`."""
    opened = await open_pool(database_url)
    yield opened
    try:
        await asyncio.wait_for(opened.close(), 5)
    except TimeoutError:  # a test left a connection out; the database goes away with force
        opened.terminate()


@pytest.fixture
def redis_url(valkey_server: ValkeyServer) -> str:
    """The session's Valkey, emptied."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    return valkey_server.url


@pytest.fixture
def private_postgres() -> Iterator[Callable[[], PostgresServer]]:
    """Call it for a started PostgreSQL of your own (not migrated) that you may kill, stop and start again."""
    with _private_servers(lambda path: PostgresServer(path, durable=False)) as make:
        yield make


@pytest.fixture
def private_valkey() -> Iterator[Callable[[], ValkeyServer]]:
    """Call it for a started Valkey of your own, with its append-only file, that you may kill and start again."""
    with _private_servers(ValkeyServer) as make:
        yield make


@contextmanager
def _private_servers(build: Callable[[Path], Server]) -> Iterator[Callable[[], Server]]:
    with ExitStack() as stack:

        def make() -> Server:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-")))
            server = build(path)
            stack.callback(server.stop)
            server.start()
            return server

        yield make


async def _prepare_template(server: PostgresServer) -> None:
    await _execute(server.url_of("postgres"), f"create database {_TEMPLATE}")
    await migrate(server.url_of(_TEMPLATE))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
