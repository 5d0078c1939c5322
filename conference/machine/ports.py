"""Whether a port is free, and who has it when it is not."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Literal

from conference.machine.reach import reason
from config.settings import THIS_MACHINE

Kind = Literal["tcp", "udp"]

_PORT_FIELD = 1
_STATE_FIELD = 3
_INODE_FIELD = 9
_LISTENING = {"tcp": "0A", "udp": "07"}  # include/net/tcp_states.h


def free(kind: Kind, host: str, port: int) -> bool:
    """Whether this process could listen there. Raises OSError when `host` is not an address of ours."""
    family, type_, protocol, _, address = socket.getaddrinfo(
        "0.0.0.0" if host == THIS_MACHINE else host or None,
        port,
        type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM,
        flags=socket.AI_PASSIVE,
    )[0]
    with socket.socket(family, type_, protocol) as probe:
        if kind == "tcp":  # as servers do: connections in TIME_WAIT are no obstacle
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            if kind == "tcp":
                probe.listen(1)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def refused(kind: Kind, host: str, port: int, error: OSError) -> str:
    """Why one can't listen there, and what to set."""
    name = "HTTP" if kind == "tcp" else "MEDIA"
    place = f"can't listen on {host} port {port} ({kind.upper()})"
    if error.errno == errno.EADDRINUSE:
        return (
            f"PARLEY_{name}_PORT: {place}: it is taken by {used_by(kind, port)}. "
            f"End that, or choose another (`parley up --{name.lower()}-port`)"
        )
    if error.errno == errno.EACCES:
        return f"PARLEY_{name}_PORT: {place}: ports below 1024 are root's. Choose another"
    return f"PARLEY_{name}_HOST: {place}: {reason(error)}. Set it to an address of this machine"


def own_address(wildcard: str) -> str:
    """The address that packets to elsewhere leave from, else loopback. A UDP connect sends nothing."""
    six = ":" in wildcard
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1" if six else "198.51.100.1", 9))
        except OSError:
            return "::1" if six else "127.0.0.1"
        return str(probe.getsockname()[0])


def used_by(kind: Kind, port: int) -> str:
    """The process that listens there, as far as this user may see it."""
    pid = _owner(_inodes(kind, port))
    if pid is None:
        return "a process of another user (as root, `ss -lnptu` names it)"
    try:
        command = (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        command = ""
    return f"process {pid} ({command.strip()[:80]})"


def _inodes(kind: Kind, port: int) -> set[str]:
    found: set[str] = set()
    for table in (f"/proc/net/{kind}", f"/proc/net/{kind}6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:  # no IPv6 here
            continue
        for fields in map(str.split, lines):
            local_port = int(fields[_PORT_FIELD].rpartition(":")[2], 16)
            if local_port == port and fields[_STATE_FIELD] == _LISTENING[kind]:
                found.add(fields[_INODE_FIELD])
    return found


def _owner(inodes: set[str]) -> int | None:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if any(os.readlink(link) in wanted for link in (entry / "fd").iterdir()):
                return int(entry.name)
        except OSError:  # gone, or another user's
            continue
    return None
