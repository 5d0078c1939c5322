"""`parley migrate` and `parley user`."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime

import msgspec
from cyclopts import App

from conference.commands.naming import named
from conference.commands.servers import connected, database_url
from conference.storage.migrate import migrate as apply_migrations
from conference.tokens import TokenUser
from config.settings import Settings, load

user = App(
    name="user", help="Add and list users. A user is also made at the first sight of a valid token."
)


def migrate() -> int:
    """Bring the database up to date. Safe to repeat, and to run from several machines at once."""
    applied = asyncio.run(_migrate(load(os.environ)))
    print("\n".join(f"applied {name}" for name in applied) or "nothing to do")
    return 0


@user.command
def add(name: str, *, display: str | None = None, email: str | None = None, org: str = "") -> int:
    """Add a user, or change one's name, address and organisation.

    Parameters
    ----------
    name
        A short name such as alice, or a UUID to be the id.
    display
        Displayed name, in place of the one made from NAME.
    email
        Address, in place of NAME@example.com.
    org
        Organisation.
    """
    wanted = named(name, display=display, email=email, org=org)
    asyncio.run(_save(load(os.environ), wanted))
    print(wanted.id)
    return 0


@user.command(name="list")
def list_users(*, json: bool = False) -> int:
    """List users: id, name, address, organisation.

    Parameters
    ----------
    json
        One JSON array instead of lines.
    """
    users = asyncio.run(_all(load(os.environ)))
    if json:
        print(msgspec.json.encode(users).decode())
        return 0
    for entry in users:
        print(entry.id, entry.name, entry.email, entry.org or "-", sep="\t")
    return 0


async def _migrate(settings: Settings) -> list[str]:
    async with connected(settings):
        return await apply_migrations(database_url(settings))


async def _save(settings: Settings, wanted: TokenUser) -> None:
    async with connected(settings) as connection:
        await connection.execute(
            "insert into users (id, email, name, org, created_at) values ($1, $2, $3, $4, $5) "
            "on conflict (id) do update set email = excluded.email, name = excluded.name, org = excluded.org",
            wanted.id,
            wanted.email,
            wanted.name,
            wanted.org,
            datetime.now(UTC),
        )


async def _all(settings: Settings) -> list[TokenUser]:
    async with connected(settings) as connection:
        rows = await connection.fetch("select id, name, email, org from users order by name, id")
    return [TokenUser(**row) for row in rows]
