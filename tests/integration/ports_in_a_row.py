"""Ports for processes that listen on several."""

from __future__ import annotations

import random

from conference.machine.ports import Kind, free


def free_ports(kind: Kind, count: int = 2) -> int:
    """The first of so many free ports in a row, below those that the kernel gives to outgoing connections."""
    while True:
        first = random.randrange(10_000, 30_000)
        if all(free(kind, "127.0.0.1", first + number) for number in range(count)):
            return first
