"""`parley user password`: what a user signs in with at the token endpoint."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from getpass import getpass

import asyncpg

from conference import passwords
from conference.commands import CommandError
from conference.commands.servers import connected
from conference.storage import passwords as rows
from conference.tokens import user_named
from config.settings import Settings, load


def password(name: str) -> int:
    """Set a user's password, read from stdin or asked for. Programs sign in with it through UCWA.

    Parameters
    ----------
    name
        A short name such as alice, or a UUID, as in `parley user add`.
    """
    chosen = _read()
    if not passwords.SHORTEST <= len(chosen) <= passwords.LONGEST:
        raise CommandError(f"a password has {passwords.SHORTEST} to {passwords.LONGEST} characters")
    asyncio.run(_save(load(os.environ), name, passwords.hashed(chosen)))
    return 0


def _read() -> str:
    """Never an argument: those are in the shell's history, and every user's process list."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    chosen = getpass("Password: ")
    if getpass("Once more: ") != chosen:
        raise CommandError("these were not the same; nothing was changed")
    return chosen


async def _save(settings: Settings, name: str, kept: str) -> None:
    async with connected(settings) as connection:
        try:
            await rows.put(connection, user_named(name).id, kept, datetime.now(UTC))
        except asyncpg.ForeignKeyViolationError:
            raise CommandError(f"nobody is known by that name: parley user add {name}") from None
