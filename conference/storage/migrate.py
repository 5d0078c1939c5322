"""Schema migrations: numbered .sql files, each applied once, in one transaction, under one lock.

What a file held when it was applied is kept as a hash: a file is never changed afterwards, a new one is added.
"""

from __future__ import annotations

import hashlib
import re
from importlib import resources

import asyncpg
import msgspec

_LOCK = 0x7061726C6579  # "parley": one advisory lock for all that migrate this database
_LOCK_WITHIN = "60s"
_NAME = re.compile(r"^\d{4}_[a-z0-9_]+\.sql$")
_TABLE = """
create table if not exists schema_migrations (
    name       text primary key,
    sha256     text not null,
    applied_at timestamptz not null default now()
)
"""


class MigrationError(RuntimeError):
    """The database and this program's migrations do not fit; nothing was changed."""


class Migration(msgspec.Struct, frozen=True):
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def known() -> list[Migration]:
    """The migrations that this program brings, in order."""
    folder = resources.files("conference.storage") / "migrations"
    files = [entry for entry in folder.iterdir() if _NAME.match(entry.name)]
    return [
        Migration(entry.name, entry.read_text(encoding="utf-8"))
        for entry in sorted(files, key=lambda entry: entry.name)
    ]


async def migrate(url: str, migrations: list[Migration] | None = None) -> list[str]:
    """Bring the database up to date; the names applied now. Any number of processes may do so at once.

    Raises MigrationError when an applied file was changed or is unknown here, asyncpg.PostgresError when a
    file fails (those before it stay applied).
    """
    wanted = known() if migrations is None else migrations
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(f"set lock_timeout = '{_LOCK_WITHIN}'")
        await connection.execute("select pg_advisory_lock($1)", _LOCK)
        await connection.execute("set lock_timeout = 0")
        return await _apply(connection, wanted)
    finally:
        await connection.close()  # lets go of the lock too


async def pending(url: str) -> list[str]:
    """Names that `migrate` would apply. Raises MigrationError as it does."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        if await connection.fetchval("select to_regclass('schema_migrations')") is None:
            return [migration.name for migration in known()]
        applied = await _applied(connection)
    finally:
        await connection.close()
    return [migration.name for migration in _missing(known(), applied)]


async def _apply(connection: asyncpg.Connection, wanted: list[Migration]) -> list[str]:
    await connection.execute(_TABLE)
    missing = _missing(wanted, await _applied(connection))
    for migration in missing:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "insert into schema_migrations (name, sha256) values ($1, $2)",
                migration.name,
                migration.sha256,
            )
    return [migration.name for migration in missing]


async def _applied(connection: asyncpg.Connection) -> dict[str, str]:
    rows = await connection.fetch("select name, sha256 from schema_migrations")
    return {row["name"]: row["sha256"] for row in rows}


def _missing(wanted: list[Migration], applied: dict[str, str]) -> list[Migration]:
    names = {migration.name for migration in wanted}
    if newer := sorted(applied.keys() - names):
        raise MigrationError(
            f"the database has {', '.join(newer)}, which this program does not know: run a newer Parley"
        )
    for migration in wanted:
        if applied.get(migration.name, migration.sha256) != migration.sha256:
            raise MigrationError(
                f"{migration.name} was changed after it had been applied: restore it"
            )
    missing = [migration for migration in wanted if migration.name not in applied]
    last = max(applied, default="")
    if late := [migration.name for migration in missing if migration.name < last]:
        raise MigrationError(
            f"{', '.join(late)} comes before {last}, which is applied: renumber it"
        )
    return missing
