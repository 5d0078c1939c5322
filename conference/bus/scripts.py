"""The Lua scripts beside this file. Each is one atomic step; what a channel may do is written there."""

from __future__ import annotations

import hashlib
from importlib import resources

from redis.asyncio.connection import AbstractConnection

from conference.bus import keys

_NAMES = {
    "STATE": keys.STATE,
    "EVENTS": keys.EVENTS,
    "SEEN": keys.SEEN,
    "EVENT": keys.EVENT,
    "WAKE": keys.WAKE,
}


def _source(name: str) -> str:
    folder = resources.files("conference.bus")
    constants = "".join(f"local {name} = '{value}'\n" for name, value in _NAMES.items())
    prelude = (folder / "prelude.lua").read_text(encoding="utf-8")
    return constants + prelude + (folder / f"{name}.lua").read_text(encoding="utf-8")


_sources: dict[bytes, str] = {}


def _script(name: str) -> bytes:
    source = _source(name)
    sha = hashlib.sha1(source.encode()).hexdigest().encode()  # what EVALSHA names a script by
    _sources[sha] = source
    return sha


CREATE = _script("create")
APPEND = _script("append")
POLL = _script("poll")
STREAM = _script("stream")
LEAVE = _script("leave")
TOUCH = _script("touch")
CLOSE = _script("close")
SILENT = _script("silent")
EXPIRE = _script("expire")
ADOPT = _script("adopt")
LEASE = _script("lease")
RELEASE = _script("release")
OUTSTANDING = _script("outstanding")


async def load_all(connection: AbstractConnection) -> None:
    """Make EVALSHA of every script work on this connection's server."""
    for source in _sources.values():
        await connection.send_command("SCRIPT LOAD", source)
        await connection.read_response()
