"""A UDP proxy in front of a worker: real datagrams, lost on purpose, slowed down, or sent on from another port."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sfu.wire.address import Address
from sfu.worker.worker import Worker

_HEADERS = 28
"""Of IPv4 and UDP, which a link carries too."""


class SlowLink:
    """So many bits a second, and a queue of so many seconds, whose end is cut off."""

    def __init__(self, rate: float, queue: float) -> None:
        self.dropped = 0
        self._rate = rate
        self._queue = queue
        self._free = 0.0

    def carry(self, data: bytes, deliver: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        begins = max(now, self._free)
        if begins - now > self._queue:
            self.dropped += 1
            return
        self._free = begins + 8 * (len(data) + _HEADERS) / self._rate
        loop.call_at(self._free, deliver)


class Proxy:
    """`loss` is the share of RTP and RTCP datagrams that it drops, in each direction.

    `link`, if there is one, is what all of its clients share on the way to them.
    """

    def __init__(self, upstream: Address) -> None:
        self.loss = 0.0
        self.link: SlowLink | None = None
        self.counters: Counter[str] = Counter()
        self._upstream = upstream
        self._random = random.Random(5)
        self._front: asyncio.DatagramTransport | None = None
        self._backs: dict[Address, asyncio.DatagramTransport] = {}

    @property
    def address(self) -> Address:
        assert self._front is not None
        address: Address = self._front.get_extra_info("sockname")
        return address

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(
            lambda: _Side(lambda data, client: self.from_client(data, client)),
            local_addr=("127.0.0.1", 0),
        )

    async def move(self) -> None:
        """As a NAT that forgets: every client appears to the worker under a new address from now on."""
        for client, former in list(self._backs.items()):
            self._backs[client] = await self._back(client)
            former.close()

    def close(self) -> None:
        for transport in [self._front, *self._backs.values()]:
            if transport is not None:
                transport.close()

    def from_client(self, data: bytes, client: Address) -> None:
        """Tests put functions of their own in its place."""
        back = self._backs.get(client)
        if back is None:
            self._backs[client] = _Opening([data])  # type: ignore[assignment]
            task = asyncio.ensure_future(self._open_back(client))
            self._opening = task
        elif isinstance(back, _Opening):
            back.waiting.append(data)
        elif not self._lost("up", data):
            back.sendto(data, self._upstream)

    def _to_client(self, client: Address, data: bytes) -> None:
        if self._lost("down", data):
            return
        if self.link is None:
            self._deliver(client, data)
        else:
            self.link.carry(data, lambda: self._deliver(client, data))

    def _deliver(self, client: Address, data: bytes) -> None:
        if self._front is not None and not self._front.is_closing():
            self._front.sendto(data, client)

    async def _open_back(self, client: Address) -> None:
        opening = self._backs[client]
        assert isinstance(opening, _Opening)
        back = self._backs[client] = await self._back(client)
        for data in opening.waiting:
            back.sendto(data, self._upstream)

    async def _back(self, client: Address) -> asyncio.DatagramTransport:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Side(lambda data, _: self._to_client(client, data)),
            local_addr=("127.0.0.1", 0),
        )
        return transport

    def _lost(self, direction: str, data: bytes) -> bool:
        if not 128 <= data[0] <= 191:
            return False
        lost = self._random.random() < self.loss
        self.counters[f"{direction}_{'lost' if lost else 'passed'}"] += 1
        return lost


class _Opening:
    """Holds a client's first datagrams until its socket is there."""

    def __init__(self, waiting: list[bytes]) -> None:
        self.waiting = waiting

    def close(self) -> None:
        self.waiting.clear()


class _Side(asyncio.DatagramProtocol):
    def __init__(self, received) -> None:  # type: ignore[no-untyped-def]
        self.datagram_received = received


@asynccontextmanager
async def in_front_of(worker: Worker) -> AsyncIterator[Proxy]:
    """The worker's descriptions name the proxy from now on."""
    proxy = Proxy(worker.candidates[0])
    await proxy.open()
    worker.endpoint.candidates = (proxy.address,)
    try:
        yield proxy
    finally:
        proxy.close()
