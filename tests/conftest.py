"""Real servers for all tests: one PostgreSQL and one Valkey per session, an emptied database per test.

The fixtures that start servers are synchronous: a server belongs to the main thread, not to a test's loop.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import msgspec
import pytest
import redis
from hypothesis import HealthCheck, settings

from conference.machine.embedded import PostgresServer, ValkeyServer
from conference.storage.database import open_pool
from conference.storage.migrate import migrate

T = TypeVar("T")
Server = TypeVar("Server", PostgresServer, ValkeyServer)

_TEMPLATE = "parley_template"
_names = itertools.count(1)

# How long an example takes says what else the machine does. What fails is printed as a line to put above the test.
settings.register_profile(
    "parley",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("parley")


def pytest_collection_finish() -> None:
    """What is there by now stays to the end: without it to walk through, the collector takes a sixth less time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture(scope="session", autouse=True)
def schemas_once() -> Iterator[None]:
    """Every application describes the same types, which takes half the time that it needs to start."""
    made: dict[object, tuple[tuple[Any, ...], dict[str, Any]]] = {}
    make = msgspec.json.schema_components

    def remembered(
        types: Iterable[Any], **how: Any
    ) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
        types = tuple(types)
        key = (repr(types), *sorted(how.items()))
        if key not in made:
            made[key] = make(types, **how)
        schemas, components = made[key]
        return schemas, dict(components)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(msgspec.json, "schema_components", remembered)
        yield


@cache
def _loop_apart() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="apart", daemon=True).start()
    return loop


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine from synchronous code, whether or not this thread has a loop running."""
    return asyncio.run_coroutine_threadsafe(work, _loop_apart()).result(60)


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
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey_server(server_dir: Path) -> Iterator[ValkeyServer]:
    """The session's Valkey. Do not stop it: ask for `private_valkey`."""
    server = ValkeyServer(server_dir, durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kept_database(postgres_server: PostgresServer) -> Iterator[KeptDatabase]:
    kept = KeptDatabase(postgres_server)
    yield kept
    run_apart(kept.close())


@pytest.fixture
def database_url(kept_database: KeptDatabase) -> str:
    """A migrated database with nothing in it, this test's own."""
    return run_apart(kept_database.emptied())


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database without tables."""
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


class KeptDatabase:
    """One database for one test after the other: to empty it costs a hundredth of making another.

    A test that changes more than rows (a trigger, a column) makes another necessary, and the next test gets one.
    """

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._name = ""
        self._inside: asyncpg.Connection | None = None
        self._made: object = None
        self._empty = ""

    async def emptied(self) -> str:
        """Its address. Whoever was still connected is not any more."""
        if self._inside is None:
            await self._prepare_template()
            inside = await self._make()
        else:
            inside = self._inside
            while await inside.fetchval(_END_OTHERS):
                await asyncio.sleep(0.01)
            if await inside.fetch(_DEFINITIONS) == self._made:
                await inside.execute(self._empty)
            else:
                await self.close()
                inside = await self._make()
        self._inside = inside
        return self._server.url_of(self._name)

    async def close(self) -> None:
        if self._inside is not None:
            await self._inside.close()
            await self._execute(f"drop database {self._name} with (force)")

    async def _prepare_template(self) -> None:
        await self._execute(f"create database {_TEMPLATE}")
        await migrate(self._server.url_of(_TEMPLATE))

    async def _make(self) -> asyncpg.Connection:
        self._name = f"test_{next(_names)}"
        await self._execute(f"create database {self._name} template {_TEMPLATE}")
        inside = await asyncpg.connect(self._server.url_of(self._name), timeout=10)
        tables = [row[0] for row in await inside.fetch(_TABLES)]
        restart = [row[0] for row in await inside.fetch(_RESTART)]
        # As a replica, so that the order of the tables does not matter to foreign keys.
        await inside.execute("set session_replication_role = replica")
        self._empty = ";".join([*(f"delete from {table}" for table in tables), *restart])
        self._made = await inside.fetch(_DEFINITIONS)
        return inside

    async def _execute(self, statement: str) -> None:
        await _execute(self._server.url_of("postgres"), statement)


_TABLES = """
    select quote_ident(tablename) from pg_tables
    where schemaname = 'public' and tablename <> 'schema_migrations'
"""
_RESTART = """
    select format('select setval(%L, %s, false)', quote_ident(sequencename), start_value)
    from pg_sequences where schemaname = 'public'
"""
_DEFINITIONS = " union all ".join(
    f"select '{catalog}', count(*), sum(xmin::text::bigint) from {catalog}"
    for catalog in ("pg_class", "pg_proc", "pg_trigger", "pg_constraint", "pg_attrdef")
)
"""Other rows than before mean that a definition was changed: `xmin` is who wrote a row."""
_END_OTHERS = """
    select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
