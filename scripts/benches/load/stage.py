"""A load set up on a server: who sends, who receives, and what an SFU driver has to offer."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from conference.machine.embedded.process import dies_with_parent
from load import kernel
from load.dtls import Identity
from load.peer import Peer, Upkeep
from load.publishing import Pump, Stream
from load.shapes import Load

ADDRESS = "10.200.0.1"
CONCURRENT_SETUPS = 12
_REPORT_EVERY = 1.0

Item = TypeVar("Item")


class ServerFailed(RuntimeError):
    """A server did not start, or refused what a load needs."""


@dataclass
class Viewer:
    """One person's receiving side."""

    name: str
    peers: list[Peer]
    watches: list[Stream]
    traceable: bool = True
    """Whether what arrives are the very packets that were sent, so that each can be timed."""

    def arrived(self) -> int:
        """RTP packets that reached this person's sockets so far, filtered or not."""
        return sum(kernel.drops(peer.socket) + peer.rtp_received for peer in self.peers)

    def delivered(self) -> int:
        """How much of `due` has come: the packets, unless the server makes packets of its own."""
        return self.arrived()

    def due(self) -> int:
        """RTP packets sent so far by the streams this person watches."""
        return sum(stream.sent for stream in self.watches)


@dataclass
class Stage:
    """Everything one load needs on one server, connected."""

    load: Load
    pace: float = 1.0
    """Share of the load's packet rate that streams begin with."""
    pump: Pump = field(default_factory=Pump)
    streams: list[Stream] = field(default_factory=list)
    viewers: list[Viewer] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.upkeep = Upkeep(self.peers, _REPORT_EVERY)

    def add_stream(self, stream: Stream) -> None:
        stream.slow_to(self.pace)
        self.streams.append(stream)
        self.pump.add(stream)

    async def close(self) -> None:
        await self.upkeep.stop()
        self.pump.close()
        for peer in self.peers:
            peer.close()


def launch(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a server that the kernel ends when the bench ends, however that happens."""
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGKILL),
        )


class Server(Protocol):
    """An SFU that the bench starts, loads and stops."""

    name: str

    @staticmethod
    def missing() -> str | None:
        """Why it can't run here; None when it can."""
        ...

    @staticmethod
    def refuses(load: Load) -> str | None:
        """Why it can't carry this load; None when it can."""
        ...

    @property
    def pid(self) -> int: ...

    async def start(self) -> None: ...

    async def set_up(self, stage: Stage, identity: Identity) -> None:
        """Connect everyone, with viewers' RTP filtered. Leaves the pump paused."""
        ...

    async def counters(self, *, fresh: bool) -> dict[str, int]:
        """What the server has counted, empty when it doesn't tell; not `fresh`: maybe as of a second ago."""
        ...

    async def stop(self) -> None: ...


async def in_turns(
    items: Iterable[Item], work: Callable[[Item], Awaitable[None]], at_once: int = CONCURRENT_SETUPS
) -> None:
    """Do `work` for every item, a few at a time; the first failure ends it all and is raised."""
    room = asyncio.Semaphore(at_once)

    async def one(item: Item) -> None:
        async with room:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(one(item))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
