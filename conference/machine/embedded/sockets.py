"""Where the unix sockets go: a private directory whose path is short and plain enough for one."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path

from conference.machine.embedded.process import EmbeddedError

# sockaddr_un holds 107 bytes; the longest name put into the directory is ".s.PGSQL.5432.lock".
_LONGEST_DIRECTORY = 107 - len("/.s.PGSQL.5432")

# asyncpg reads a comma in a host as the next host, PostgreSQL in its setting as the next directory.
_PLAIN = re.compile(r"[\w./@+-]+", re.ASCII)


def socket_dir(preferred: Path) -> Path:
    """`preferred`, made private; or a short stand-in for it in the run or temp folder, always the same one.

    Raises EmbeddedError when the stand-in is taken by someone else.
    """
    path = preferred.absolute()
    if len(os.fsencode(path)) > _LONGEST_DIRECTORY or not _PLAIN.fullmatch(str(path)):
        path = _stand_in(path)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise EmbeddedError(f"{path} must be a directory of this user's; remove it")
    path.chmod(0o700)
    return path


def _stand_in(path: Path) -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return Path(base) / f"parley-{os.geteuid()}-{digest}"
