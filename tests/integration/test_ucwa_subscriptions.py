"""Subscriptions while others act at the same time: what ends is told once, and nothing published is missed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from conference.storage import users
from conference.storage.users import User
from conference.ucwa.application import Application
from conference.ucwa.applications import store as applications
from conference.ucwa.people import store as people
from conference.ucwa.people.directory import Directory
from conference.ucwa.people.person_changes import PersonChanges
from conference.ucwa.people.subscription_service import SubscriptionService

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ALICE = User(id=UUID(int=1), name="Alice", email="alice@example.com")
BOB = User(id=UUID(int=2), name="Bob", email="bob@example.com")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class NoRelay:
    """What is told stays in the outbox."""

    async def flush(self, stream_id: UUID) -> None:
        pass


@pytest.fixture
async def app(pool: asyncpg.Pool) -> Application:
    application = Application(
        id="a1",
        user_id=ALICE.id,
        culture="en-US",
        user_agent="Tests/1.0",
        endpoint_id="e",
        type="Browser",
        created_at=NOW,
    )
    async with pool.acquire() as conn:
        await users.put(conn, ALICE, NOW)
        await applications.add(conn, application)
        await conn.execute(
            "insert into ucwa_instances (application_id, instance_id, queue_id, created_at) "
            "values ('a1', '', $1, $2)",
            uuid4(),
            NOW,
        )
    return application


def service(pool: asyncpg.Pool, clock: Clock) -> SubscriptionService:
    changes = PersonChanges(pool, NoRelay(), clock, uuid4)
    directory = Directory(pool, domain="example.com", everyone=False)
    return SubscriptionService(changes, directory, warn_before=120)


async def told_by(pool: asyncpg.Pool, *services: SubscriptionService) -> list[str]:
    """What is told when all of them have looked before any of them acts."""
    await pool.execute("delete from outbox")
    async with pool.acquire() as conn, conn.transaction():
        await people.lock(conn, [ALICE.id])
        sweeps = [asyncio.create_task(each.sweep()) for each in services]
        async with asyncio.timeout(10):
            while await waiting(conn) < len(services):
                await asyncio.sleep(0.01)  # PostgreSQL tells nobody who waits
    await asyncio.gather(*sweeps)
    rows = await pool.fetch("select payload from outbox order by id")
    return [kind_of(row["payload"]) for row in rows]


async def waiting(conn: asyncpg.pool.PoolConnectionProxy) -> int:
    count: int = await conn.fetchval("select count(*) from pg_locks where not granted")
    return count


def kind_of(payload: bytes) -> str:
    event = msgspec.json.decode(payload)
    return f"{event.get('change', '')} {event['type']}".strip()


async def test_one_announces_and_one_ends(pool: asyncpg.Pool, app: Application) -> None:
    clock = Clock()
    first, second = service(pool, clock), service(pool, clock)
    await first.subscribe(app, ["bob@example.com"], timedelta(minutes=10))
    clock.now = NOW + timedelta(minutes=9)
    assert await told_by(pool, first, second) == ["updated UCWA_SUBSCRIPTION"]
    clock.now = NOW + timedelta(minutes=10)
    assert await told_by(pool, first, second) == [
        "deleted UCWA_SUBSCRIPTION",
        "deleted UCWA_LISTED",
    ]


async def test_following_a_contact_list_too(pool: asyncpg.Pool, app: Application) -> None:
    clock = Clock()
    first, second = service(pool, clock), service(pool, clock)
    await first.follow(app, timedelta(minutes=10))
    for minutes in (9, 10):
        clock.now = NOW + timedelta(minutes=minutes)
        assert await told_by(pool, first, second) == ["UCWA_LIST_SUBSCRIPTION"], minutes
    assert await first.following(app) is None


async def test_what_was_extended_meanwhile_goes_on(pool: asyncpg.Pool, app: Application) -> None:
    clock = Clock()
    sweeping = service(pool, clock)
    created = await sweeping.subscribe(app, ["bob@example.com"], timedelta(minutes=10))
    await sweeping.follow(app, timedelta(minutes=10))
    clock.now = NOW + timedelta(minutes=9)
    await pool.execute("delete from outbox")
    async with pool.acquire() as conn, conn.transaction():
        await people.lock(conn, [ALICE.id])
        sweep = asyncio.create_task(sweeping.sweep())
        async with asyncio.timeout(10):
            while await waiting(conn) < 1:
                await asyncio.sleep(0.01)
        later = NOW + timedelta(minutes=30)
        await conn.execute("update presence_subscriptions set expires_at = $1", later)
        await conn.execute("update contact_list_subscriptions set expires_at = $1", later)
    await sweep
    assert await pool.fetchval("select count(*) from outbox") == 0
    assert (await sweeping.one(app, str(created.id))).expires_at == later


async def test_who_publishes_meanwhile_is_waited_for(pool: asyncpg.Pool, app: Application) -> None:
    """Else the one would not see the subscription, and the other would read what was there before."""
    async with pool.acquire() as conn:
        await users.put(conn, BOB, NOW)
    subscribing = service(pool, Clock())
    async with pool.acquire() as conn, conn.transaction():
        bob = (await people.lock(conn, [BOB.id]))[BOB.id]
        assert await people.watching_queues(conn, "bob@example.com", "", NOW) == frozenset()
        task = asyncio.create_task(
            subscribing.subscribe(app, ["bob@example.com"], timedelta(minutes=10))
        )
        async with asyncio.timeout(10):
            while await waiting(conn) < 1:
                await asyncio.sleep(0.01)
        await people.save(conn, msgspec.structs.replace(bob, note="published meanwhile"))
    await task
    async with pool.acquire() as conn:
        assert (await people.read(conn, BOB.id)).note == "published meanwhile"
        assert len(await people.watching_queues(conn, "bob@example.com", "", NOW)) == 1
