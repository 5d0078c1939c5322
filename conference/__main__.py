"""The `parley` command."""

from __future__ import annotations

import sys
from importlib.metadata import version

import asyncpg
import redis.exceptions
from cyclopts import App

from conference.commands import CommandError, database, jobs, password, processes, profile
from conference.commands.doctor import doctor
from conference.commands.token import token
from conference.commands.up import up
from conference.machine.datadir import DataDirError
from conference.machine.embedded import EmbeddedError
from conference.machine.reach import UnreachableError
from conference.machine.supervisor import SupervisorError
from conference.storage.migrate import MigrationError
from config.settings import SettingsError

app = App(
    name="parley",
    help="Meetings, event channels and media. Settings are PARLEY_* variables or a TOML file named by "
    "PARLEY_CONFIG; docs/operations.md lists them.",
    version=f"parley {version('parley')}",
    version_flags=("--version",),
)
app.command(up)
app.command(processes.api)
app.command(processes.sfu)
app.command(database.migrate)
app.command(jobs.jobs)
database.user.command(password.password)
database.user.command(profile.profile)
database.user.command(profile.photo)
app.command(database.user)
app.command(token)
app.command(doctor)

# What a user can put right: said in a line. Anything else is a defect and shows its traceback.
_EXPECTED = (
    CommandError,
    DataDirError,
    EmbeddedError,
    MigrationError,
    SettingsError,
    SupervisorError,
    UnreachableError,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    redis.exceptions.RedisError,
)


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {(error.strerror or '').lower()}"
    return str(error)


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except _EXPECTED as error:
        print(f"parley: {_words(error)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
