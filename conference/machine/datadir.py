"""The data directory: one supervisor at a time, and where its servers are for commands run beside it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

_OURS = ("log", "run")


class DataDirError(RuntimeError):
    """The directory is in use or out of reach; the text says what to do."""


class ServerUrls(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running supervisor's servers are."""

    database_url: str
    redis_url: str


def make_private(path: Path) -> None:
    """A directory with what is nobody else's business: secrets, data, logs. Those above it are made as usual.

    One that is there is made private if it holds what is ours alone; a data directory may be somebody's home.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if path.name in _OURS:
            path.chmod(0o700)


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the directory. The kernel lets go of it however this process ends. Raises DataDirError."""
    path = _run_dir(data_dir) / "lock"
    _refuse_anothers(data_dir)
    try:
        make_private(data_dir)
        make_private(path.parent)
        lock = path.open("a+")
    except OSError as error:
        raise DataDirError(
            f"can't write to {data_dir} ({error.strerror}): set PARLEY_DATA_DIR to a directory of yours"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataDirError(
                f"Parley already runs in {data_dir} (process {_holder(path)}): "
                "stop it, or set PARLEY_DATA_DIR to another directory and take other ports"
            ) from None
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def supervisor_pid(data_dir: Path) -> int | None:
    """The process that holds the directory now."""
    path = _run_dir(data_dir) / "lock"
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(_holder(path))
    except OSError:
        return None
    return None


def write_urls(data_dir: Path, urls: ServerUrls) -> None:
    """For `parley api`, `migrate` and the like, run beside the supervisor. They may hold passwords: 0600."""
    path = _run_dir(data_dir) / "urls"
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(urls))
    draft.rename(path)


def read_urls(data_dir: Path) -> ServerUrls | None:
    """What the last supervisor wrote, whether or not it still runs."""
    try:
        return msgspec.json.decode((_run_dir(data_dir) / "urls").read_bytes(), type=ServerUrls)
    except (OSError, msgspec.MsgspecError):
        return None


def _refuse_anothers(data_dir: Path) -> None:
    """Root could use it, but would leave files behind that its owner can't."""
    try:
        owner = _run_dir(data_dir).stat().st_uid
    except OSError:
        return
    if owner != os.geteuid():
        raise DataDirError(
            f"{data_dir} belongs to user {owner}, this is user {os.geteuid()}: "
            "run Parley as its owner, or set PARLEY_DATA_DIR to a directory of yours"
        )


def _run_dir(data_dir: Path) -> Path:
    return data_dir.absolute() / "run"


def _holder(path: Path) -> str:
    """Empty for the instant between the lock and the note of who took it."""
    return path.read_text().strip() or "0"
