"""A real packet path with an endpoint on it, and clients that speak ICE and DTLS to it over loopback."""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict

from aiortc.rtcdtlstransport import RTCCertificate
from dtls_client import THEIRS, Client, fingerprints
from path_rig import PathFactory
from stun_writer import signed_check

from schemas.sfu import Loss
from sfu.path.interface import UnknownStream
from sfu.transport.dtls import Certificate
from sfu.transport.endpoint import Endpoint
from sfu.transport.peer import Peer
from sfu.wire import stun
from sfu.wire.address import Address

SECOND = 1_000_000
OURS = Certificate()
REPORT = bytes.fromhex("80c90001 00000001")
"""What is sent as media: where it arrives is where the client's media goes."""


class Owner:
    def __init__(self) -> None:
        self.transports: list[int | None] = []
        self.lost: list[Loss] = []

    def peer_connected(self, peer: Peer) -> None:
        self.transports.append(peer.transport)

    def peer_lost(self, peer: Peer, reason: Loss) -> None:
        self.lost.append(reason)

    def unknown_stream(self, peer: Peer, stream: UnknownStream) -> None: ...


class Wire:
    """The worker's side. Its clock is the test's; DTLS timers are real."""

    def __init__(self, factory: PathFactory) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        self.address: Address = sock.getsockname()
        self.path = factory(sock)
        self.endpoint = Endpoint(self.path, OURS, [self.address])
        self.now_us = 100 * SECOND
        self.clients: list[IceClient] = []

    def client(self) -> IceClient:
        client = IceClient(self)
        self.clients.append(client)
        return client

    def drain(self) -> None:
        self.endpoint.dispatch(self.path.drain(self.now_us), self.now_us)

    async def settle(self, turns: int = 12) -> None:
        """Let everything that is on its way arrive, and its answers too."""
        for _ in range(turns):
            self.drain()
            await asyncio.sleep(0)
            for client in self.clients:
                client.read()

    async def wait(self, seconds: float) -> None:
        """With the worker's tick, every second."""
        until = self.now_us + int(seconds * SECOND)
        while self.now_us < until:
            self.now_us = min(until, self.now_us + SECOND)
            self.endpoint.expire(self.now_us, 600 * SECOND)
            await self.settle(3)

    def count(self, name: str) -> int:
        return self.endpoint.counters[name]

    async def close(self) -> None:
        await self.endpoint.close()
        self.path.close()
        for client in self.clients:
            client.close()


class Received:
    """At one socket of a client."""

    def __init__(self) -> None:
        self.bytes = 0
        self.requests: list[bytes] = []
        self.answers: list[bytes] = []
        self.dtls: list[bytes] = []
        self.media = 0


class IceClient:
    """Sockets have names, and are opened when they are first used."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.owner = Owner()
        self.ufrag, self.password = "theirs", "correct-horse-battery-staple"
        self.peer = wire.endpoint.open_peer(self.owner, wire.now_us)
        self.answering = True
        """Whether it answers the worker's checks."""
        self.at: defaultdict[str, Received] = defaultdict(Received)
        self.sent = 0
        self.dtls: Client | None = None
        self.dtls_from = "home"
        self._sockets: dict[str, socket.socket] = {}
        self._numbers = 0

    def describe(
        self,
        *,
        certificate: RTCCertificate = THEIRS,
        active: bool = False,
        tls_id: str | None = None,
    ) -> None:
        """Its description arrives at the worker."""
        self.peer.set_remote(self.ufrag, self.password)
        self.peer.expect(
            fingerprints(certificate), active=active, tls_id=tls_id, now_us=self.wire.now_us
        )

    async def connect(self) -> None:
        self.describe()
        self.check("home", nominate=True)
        self.dtls = Client()
        self.hello("home")
        before = len(self.owner.transports)
        async with asyncio.timeout(10):
            while len(self.owner.transports) == before:
                await self.wire.settle(1)
        await self.wire.settle()

    def hello(self, name: str) -> None:
        """Begin a handshake from there, or send what is due of one."""
        assert self.dtls is not None
        self.dtls_from = name
        if flight := self.dtls.takes([]):
            self.send(name, flight)

    def check(
        self,
        name: str,
        *,
        nominate: bool = False,
        ufrag: str | None = None,
        attributes: tuple[tuple[int, bytes], ...] = (),
        transaction: bytes | None = None,
    ) -> bytes:
        """Send one; it may be sent again from elsewhere."""
        ufrag = ufrag or self.peer.ufrag
        password = self.peer.password_of(ufrag)
        assert password
        self._numbers += 1
        transaction = transaction or self._numbers.to_bytes(12, "big")
        nomination = ((0x0025, b""),) if nominate else ()
        data = signed_check(
            f"{ufrag}:{self.ufrag}",
            password,
            attributes=((0x0024, bytes(4)), (0x802A, bytes(8)), *nomination, *attributes),
            transaction=transaction,
        )
        self.send(name, data)
        return data

    def send(self, name: str, data: bytes) -> None:
        self.sent += len(data)
        self._socket(name).sendto(data, self.wire.address)

    def address(self, name: str) -> Address:
        address: Address = self._socket(name).getsockname()
        return address

    def media_goes_to(self) -> set[str]:
        """Of what the worker sends now."""
        before = {name: received.media for name, received in self.at.items()}
        assert self.peer.transport is not None
        self.wire.path.send_rtcp(self.peer.transport, REPORT)
        self.read()
        return {name for name, had in self.at.items() if had.media > before.get(name, 0)}

    def read(self) -> None:
        for name, sock in list(self._sockets.items()):
            while True:
                try:
                    data = sock.recv(4096)
                except BlockingIOError:
                    break
                self._take(name, data)

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()

    def _take(self, name: str, data: bytes) -> None:
        received = self.at[name]
        received.bytes += len(data)
        if data[0] == 0:
            received.requests.append(data)
            if self.answering:
                self.send(name, stun.success(stun.parse(data), self.wire.address, self.password))
        elif data[0] == 1:
            received.answers.append(data)
        elif data[0] < 64:
            received.dtls.append(data)
            if self.dtls and name == self.dtls_from and (flight := self.dtls.takes([data])):
                self.send(name, flight)
        else:
            received.media += 1

    def _socket(self, name: str) -> socket.socket:
        if name not in self._sockets:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            self._sockets[name] = sock
        return self._sockets[name]
