"""The UDP socket: address forms, reading, and what happens when it is full."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import time
from collections import deque
from contextlib import suppress

from sfu.path.counters import Counters
from sfu.wire.address import Address

WireAddress = tuple[str, int] | tuple[str, int, int, int]
"""As the socket's family writes it."""

MAX_DATAGRAM = 2048
"""Media stays below a path MTU; what fills this buffer was cut off or is no media."""

MAX_WAITING_AUDIO = 256
_MAPPED = "::ffff:"
_SO_TIMESTAMPNS = 35  # Linux; the socket module has no name for it
_STAMP = struct.Struct("@qq")
_STAMP_ROOM = socket.CMSG_SPACE(_STAMP.size)
_FULL = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS})


class UdpSocket:
    """Policy when the socket is full: audio waits, in order and bounded; everything else is dropped.

    A video leg gives up the rest of its frame then (`sfu.path.python.leg.Leg.unsent`).
    """

    def __init__(self, sock: socket.socket, counters: Counters) -> None:
        sock.setblocking(False)
        with suppress(OSError):  # not Linux: then a datagram comes when it is read
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._sock = sock
        self._counters = counters
        self._dual = sock.family == socket.AF_INET6
        self._waiting: deque[tuple[bytes, WireAddress]] = deque()

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._waiting.clear()
        self._sock.close()

    # --- addresses ----------------------------------------------------------------------------

    def to_wire(self, address: Address) -> WireAddress:
        """Raises ValueError for what is no IP address: names are never looked up here."""
        host, port = address
        bare, _, zone = host.partition("%")
        version = ipaddress.ip_address(bare).version
        if not 0 < port < 0x10000:
            raise ValueError(f"no UDP port: {port}")
        if not self._dual:
            if version != 4:
                raise ValueError(f"{host} can't be reached from an IPv4 socket")
            return host, port
        if version == 4:
            return _MAPPED + host, port, 0, 0
        try:
            return host, port, 0, socket.if_nametoindex(zone) if zone else 0
        except OSError as error:
            raise ValueError(f"no such interface: {zone}") from error

    @staticmethod
    def from_wire(wire: WireAddress) -> Address:
        host = wire[0]
        if host.startswith(_MAPPED) and "." in host:
            host = host[len(_MAPPED) :]
        return host, wire[1]

    # --- in -----------------------------------------------------------------------------------

    def receive(self) -> tuple[bytes, WireAddress, int] | None:
        """The next datagram, from where, and when it came (wall clock, ns); None when there is none.

        Empty when the kernel told of an error instead.
        """
        try:
            data, stamps, _, address = self._sock.recvmsg(MAX_DATAGRAM, _STAMP_ROOM)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            # An ICMP error of some peer, told on the next read: it says nothing about the socket.
            self._counters.receive_failed += 1
            return b"", ("", 0), 0
        return data, address, _stamped_ns(stamps)

    # --- out ----------------------------------------------------------------------------------

    def send(self, data: bytes, address: WireAddress) -> bool:
        """False when the socket is full. Any other refusal counts as lost on the way."""
        if self._waiting and not self._drain_waiting():
            return False
        try:
            self._sock.sendto(data, address)
        except OSError as error:
            return self._refused(error)
        self._counters.datagrams_out += 1
        self._counters.bytes_out += len(data)
        return True

    def _refused(self, error: OSError) -> bool:
        if error.errno in _FULL:
            return False
        self._counters.send_failed += 1
        return True

    def send_audio(self, data: bytes, address: WireAddress) -> None:
        if self.send(data, address):
            return
        if len(self._waiting) >= MAX_WAITING_AUDIO:
            self._waiting.popleft()
            self._counters.send_full_audio += 1
        self._waiting.append((data, address))

    def retry(self) -> None:
        """Send what waits. Called once a drain; every send tries it first as well."""
        if self._waiting:
            self._drain_waiting()

    def _drain_waiting(self) -> bool:
        waiting, self._waiting = self._waiting, deque()
        while waiting and self.send(*waiting[0]):
            waiting.popleft()
            self._counters.send_retried_audio += 1
        self._waiting = waiting
        return not waiting


def _stamped_ns(stamps: list[tuple[int, int, bytes]]) -> int:
    for level, kind, value in stamps:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _STAMP.unpack(value)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()
