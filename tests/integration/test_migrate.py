"""Migrations on a real PostgreSQL."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from conference.storage.migrate import Migration, MigrationError, known, migrate, pending

FIRST = Migration("0001_first.sql", "create table first (id int)")
SECOND = Migration("0002_second.sql", "create table second (id int); insert into second values (1)")


async def value(url: str, text: str) -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(text)
    finally:
        await connection.close()


async def test_applies_what_is_missing_once(empty_database_url: str) -> None:
    assert await migrate(empty_database_url, [FIRST]) == [FIRST.name]
    assert await migrate(empty_database_url, [FIRST, SECOND]) == [SECOND.name]
    assert await migrate(empty_database_url, [FIRST, SECOND]) == []
    assert await value(empty_database_url, "select count(*) from second") == 1


async def test_many_at_once_apply_each_file_once(empty_database_url: str) -> None:
    runs = await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))
    assert sorted(name for names in runs for name in names) == [
        migration.name for migration in known()
    ]
    assert await pending(empty_database_url) == []


async def test_pending_before_the_first_migration(empty_database_url: str) -> None:
    assert await pending(empty_database_url) == [migration.name for migration in known()]


async def test_a_failing_file_leaves_those_before_it_and_nothing_of_itself(
    empty_database_url: str,
) -> None:
    broken = Migration("0002_broken.sql", "create table half (id int); select no_such_function()")
    with pytest.raises(asyncpg.UndefinedFunctionError):
        await migrate(empty_database_url, [FIRST, broken])
    assert await value(empty_database_url, "select to_regclass('half') is null")
    assert await migrate(empty_database_url, [FIRST, SECOND]) == [SECOND.name]


@pytest.mark.parametrize(
    ("then", "says"),
    [
        ([Migration(FIRST.name, "select 1"), SECOND], "was changed"),
        ([FIRST], "does not know"),
        ([FIRST, Migration("0001_later.sql", "select 1"), SECOND], "renumber"),
    ],
)
async def test_what_does_not_fit_is_refused(
    empty_database_url: str, then: list[Migration], says: str
) -> None:
    await migrate(empty_database_url, [FIRST, SECOND])
    with pytest.raises(MigrationError, match=says):
        await migrate(empty_database_url, then)


async def test_each_test_has_a_migrated_database_of_its_own(
    database_url: str, pool: asyncpg.Pool
) -> None:
    assert await pending(database_url) == []
    assert await pool.fetchval("select count(*) from meetings") == 0
