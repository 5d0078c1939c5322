"""Both packet paths side by side: every call and every datagram goes to both, and what comes back is compared."""

from __future__ import annotations

import errno
import importlib
import itertools
import socket
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from path_rig import sessions

from sfu.path.interface import Inbound, PacketPath, SrtpKeys
from sfu.path.python.path import PythonPath

Answer = TypeVar("Answer")

_TIMED = ("forward_us_in", "forward_us_le", "forward_us_sum")


class Choked(socket.socket):
    """Can be told to be full after so many datagrams."""

    room = -1

    def sendto(self, data: bytes, address: object) -> int:  # type: ignore[override]
        if self.room == 0:
            raise OSError(errno.EAGAIN, "full")
        self.room -= self.room > 0
        return super().sendto(data, address)  # type: ignore[call-overload, no-any-return]


class Client:
    """One remote of both paths: one socket, one set of keys."""

    def __init__(self, twins: Twins) -> None:
        self.twins = twins
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.join()

    def join(self) -> None:
        inward, outward = next(self.twins.keys), next(self.twins.keys)
        self.protects = sessions(inward)[0]
        master = outward.to_bytes(44, "big")
        keys = SrtpKeys(master[:32], master[32:]) if outward % 4 < 3 else None
        self.transport = self.twins.same(
            lambda path: path.open_transport(
                sessions(inward)[1], sessions(outward)[0], self.socket.getsockname(), keys
            )
        )

    def send(self, data: bytes) -> None:
        for port in self.twins.ports:
            self.socket.sendto(data, ("127.0.0.1", port))

    def send_from_elsewhere(self, data: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            for port in self.twins.ports:
                other.sendto(data, ("127.0.0.1", port))

    def received(self) -> list[dict[int, list[bytes]]]:
        """By path, by SSRC: between streams a path may choose the order."""
        found: list[dict[int, list[bytes]]] = [defaultdict(list), defaultdict(list)]
        try:
            while True:
                data, (_, port) = self.socket.recvfrom(4096)
                found[self.twins.ports.index(port)][int.from_bytes(data[8:12], "big")].append(data)
        except BlockingIOError:
            return found


class Twins:
    def __init__(self) -> None:
        sockets = [Choked(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        self.ports = [sock.getsockname()[1] for sock in sockets]
        self._pure_socket = sockets[0]
        self.native = importlib.import_module("sfu.native.path").NativePath(sockets[1])
        self.paths: tuple[PacketPath, PacketPath] = (PythonPath(sockets[0]), self.native)
        self.now_us = 5_000_000
        self.clients: list[Client] = []
        self.received = 0
        self.keys = itertools.count(1_000_000)
        """Of these, every fourth that a path sends with is kept from it."""

    def close(self) -> None:
        for path in self.paths:
            path.close()
        for client in self.clients:
            client.socket.close()

    def same(self, call: Callable[[PacketPath], Answer]) -> Answer:
        """What both answer, or raise."""
        pure, native = (_outcome(call, path) for path in self.paths)
        assert native == pure
        if isinstance(pure, Exception):
            raise pure
        return pure

    def client(self) -> Client:
        self.clients.append(Client(self))
        return self.clients[-1]

    def choke(self, room: int) -> None:
        """Let the sockets be full after so many messages; negative: never."""
        self._pure_socket.room = room
        self.native._limit_sends(room)

    def drain(self, after_us: int = 0) -> Inbound:
        self.now_us += after_us
        inbound = self.same(lambda path: path.drain(self.now_us))
        self.compare_received()
        return inbound

    def compare_received(self) -> None:
        for client in self.clients:
            pure, native = client.received()
            assert native == pure
            self.received += sum(map(len, pure.values()))

    def compare_counters(self) -> dict[str, int]:
        pure, native = (path.counters() for path in self.paths)
        for name, count in pure.items():
            assert name.startswith(_TIMED) or native[name] == count, name
        return pure


def _outcome(call: Callable[[PacketPath], Answer], path: PacketPath) -> Answer | Exception:
    try:
        return call(path)
    except (KeyError, ValueError) as error:
        return Raised(type(error))


class Raised(Exception):
    """Of equal kind is equal."""

    def __init__(self, kind: type[Exception]) -> None:
        self.kind = kind

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raised) and other.kind is self.kind

    def __hash__(self) -> int:
        return hash(self.kind)
