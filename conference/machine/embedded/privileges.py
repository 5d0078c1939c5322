"""Running a program that refuses to run as root, when we are root.

PostgreSQL looks at its effective user id alone. First choice is a user namespace that shows it an ordinary id:
files stay root's own. Where namespaces are forbidden (a default container), it runs as an ordinary account that
keeps one capability, to get through directories that only root may enter.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from functools import cache
from pathlib import Path

import msgspec

from conference.machine.embedded.process import EmbeddedError

_CAPABILITY = "dac_override"
_OVERFLOW_ID = 65534  # also what a namespace shows for everyone it does not know


class Disguise(msgspec.Struct, frozen=True, kw_only=True):
    """How to start the program, and who must own its files."""

    prefix: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None
    """User and group id; None: they need no change."""


@cache
def disguise(folder: Path, program: Path) -> Disguise:
    """The way that works here, for a program that is to write to `folder`. Raises EmbeddedError when none does."""
    if os.geteuid() != 0 and _known(os.geteuid()):
        return Disguise()
    account = _account()
    # In a namespace root is no more than the owner of root's files: below another user's private folder
    # it reaches nothing.
    if _works(prefix := _namespace(account), folder, program):
        return Disguise(prefix=prefix, owner=(0, 0) if os.geteuid() == 0 else None)
    if os.geteuid() == 0 and _works(prefix := _account_prefix(account), folder, program):
        return Disguise(prefix=prefix, owner=(account.pw_uid, account.pw_gid))
    raise EmbeddedError(
        "the embedded PostgreSQL does not run as root, and neither user namespaces (unshare) nor setpriv "
        "work here: run Parley as an ordinary user, or set PARLEY_DATABASE_URL to a PostgreSQL of your own"
    )


def give(path: Path, owner: tuple[int, int] | None) -> None:
    """Make `path` and all in it the owner's. Quick when it is already (the top is changed last)."""
    if owner is None or _owner(path) == owner:
        return
    for folder, _, files in os.walk(path, topdown=False):
        for name in files:
            os.lchown(os.path.join(folder, name), *owner)
        os.lchown(folder, *owner)


def _namespace(account: pwd.struct_passwd) -> tuple[str, ...]:
    ids = (f"--map-user={account.pw_uid}", f"--map-group={account.pw_gid}")
    return ("unshare", "--user", *ids, "--")


def _account_prefix(account: pwd.struct_passwd) -> tuple[str, ...]:
    # A change of user clears the parent-death signal, so setpriv sets it anew.
    return (
        "setpriv",
        f"--reuid={account.pw_uid}",
        f"--regid={account.pw_gid}",
        "--clear-groups",
        f"--inh-caps=-all,+{_CAPABILITY}",
        f"--ambient-caps=-all,+{_CAPABILITY}",
        "--pdeathsig=INT",
        "--",
    )


def _works(prefix: tuple[str, ...], folder: Path, program: Path) -> bool:
    look = 'test -x "$1" && test -x "$2" && id -u'
    try:
        done = subprocess.run(
            [*prefix, "sh", "-c", look, "sh", folder, program],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() not in ("", "0")


def _account() -> pwd.struct_passwd:
    """Any ordinary account: initdb wants the id to have a name."""
    accounts = sorted(pwd.getpwall(), key=lambda entry: entry.pw_uid)
    for entry in accounts:
        if entry.pw_uid not in (0, _OVERFLOW_ID) and entry.pw_gid != 0:
            return entry
    raise EmbeddedError("/etc/passwd names no ordinary account to run PostgreSQL as")


def _known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _owner(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid
