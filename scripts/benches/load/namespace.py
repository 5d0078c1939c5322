"""A network namespace of the bench's own: libnice refuses loopback, and nobody else's traffic gets in.

It has no name and belongs to this process and its children, so the kernel removes it when they are gone,
however they end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from load.stage import ADDRESS

_INSIDE = "PARLEY_BENCH_NAMESPACE"
_STEPS = (
    "link set lo up",
    "link add bench0 type veth peer name bench1",
    f"address add {ADDRESS}/24 dev bench0",
    "link set bench0 up",
    "link set bench1 up",
)


class NoNamespace(RuntimeError):
    """The namespace can't be made here; the text says what is missing."""


def enter() -> None:
    """Run this program anew inside a namespace, and return there. Raises NoNamespace."""
    if os.environ.pop(_INSIDE, None):
        _furnish()
        return
    missing = [tool for tool in ("unshare", "ip") if shutil.which(tool) is None]
    if missing:
        raise NoNamespace(f"not installed: {', '.join(missing)} (Debian: util-linux, iproute2)")
    command = ["unshare", "--net"]
    if os.geteuid() != 0:
        command.append("--map-root-user")
    os.environ[_INSIDE] = "1"
    sys.stdout.flush()
    os.execvp("unshare", [*command, sys.executable, *sys.argv])


def _furnish() -> None:
    for step in _STEPS:
        done = subprocess.run(["ip", *step.split()], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoNamespace(f"ip {step}: {done.stderr.strip()}")
