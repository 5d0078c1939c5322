"""What the load side asks of Linux: packet filters, bursts in one call, drop counts, process figures."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import struct
from pathlib import Path
from typing import NamedTuple

_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO_WORDS = 9
_MEMINFO_DROPS = 8
_PR_SET_TIMERSLACK = 29

_libc = ctypes.CDLL(None, use_errno=True)
_TICKS = os.sysconf("SC_CLK_TCK")

# Classic BPF over a UDP datagram, whose first 8 octets are the UDP header. RTP and RTCP are told from STUN
# and DTLS by the first octet (RFC 7983), RTP from RTCP by the second (RFC 5761 section 4). One RTP packet
# in 1024, by its sequence number, comes through: a receiver that sees no more still follows the rollover
# counter (RFC 3711 section 3.3.1).
_BYTE, _HALF, _AT_LEAST, _ANY_BIT, _RETURN = 0x30, 0x28, 0x35, 0x45, 0x06
_FEW_RTP = (
    (_BYTE, 0, 0, 8),
    (_AT_LEAST, 0, 6, 0x80),
    (_AT_LEAST, 5, 0, 0xC0),
    (_BYTE, 0, 0, 9),
    (_AT_LEAST, 0, 1, 192),
    (_AT_LEAST, 0, 2, 224),
    (_HALF, 0, 0, 10),
    (_ANY_BIT, 1, 0, 1023),
    (_RETURN, 0, 0, 0x40000),
    (_RETURN, 0, 0, 0),
)


def drop_rtp(sock: socket.socket) -> None:
    """Let the kernel drop RTP but for a trickle, counting it in `drops`; STUN, DTLS and RTCP still arrive."""
    program = b"".join(struct.pack("HBBI", *step) for step in _FEW_RTP)
    code = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        struct.pack("HxxxxxxP", len(_FEW_RTP), ctypes.addressof(code)),
    )


def keep_rtp(sock: socket.socket) -> None:
    """Take the filter off again."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def drops(sock: socket.socket) -> int:
    """Datagrams that reached this socket and were dropped, by its filter or for want of room."""
    words = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * _MEMINFO_WORDS)
    return int(struct.unpack(f"{_MEMINFO_WORDS}I", words)[_MEMINFO_DROPS])


def stamp_arrivals(sock: socket.socket, on: bool) -> None:
    """Have the kernel note the wall-clock time at which each datagram arrived; see `receive_stamped`."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, int(on))


def receive_stamped(sock: socket.socket) -> tuple[bytes, int] | None:
    """The next datagram and its arrival in nanoseconds since the epoch; None when there is none."""
    try:
        data, ancillary, _, _ = sock.recvmsg(2048, 64)
    except BlockingIOError:
        return None
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", value)
            return data, seconds * 1_000_000_000 + nanoseconds
    return data, 0


def large_receive_buffer(sock: socket.socket, octets: int) -> None:
    """As large as this user may have it."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, octets)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)


def allow_open_files(count: int) -> int:
    """Raise the limit of open files; the number actually allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(count, hard)))
    except (PermissionError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def sharpen_sleep() -> None:
    """Wake this thread on time: Linux adds up to 50 µs to every sleep otherwise."""
    _libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _Header), ("sent", ctypes.c_uint))


class Burst:
    """Datagrams for one connected socket that leave in one `sendmmsg`."""

    SLOT = 1536

    def __init__(self, capacity: int) -> None:
        self._room = (ctypes.c_char * (capacity * self.SLOT))()
        self._view = memoryview(self._room).cast("B")
        self._vectors = (_Vector * capacity)()
        self._messages = (_Message * capacity)()
        self._count = 0
        start = ctypes.addressof(self._room)
        for index in range(capacity):
            self._vectors[index].base = start + index * self.SLOT
            header = self._messages[index].header
            header.vectors = ctypes.pointer(self._vectors[index])
            header.vector_count = 1

    def __len__(self) -> int:
        return self._count

    def add(self, datagram: bytes) -> None:
        index = self._count
        start = index * self.SLOT
        self._view[start : start + len(datagram)] = datagram
        self._vectors[index].length = len(datagram)
        self._count = index + 1

    def send(self, descriptor: int) -> int:
        """Send and empty it. How many datagrams the kernel took; the others are lost."""
        count, self._count = self._count, 0
        sent: int = _libc.sendmmsg(descriptor, self._messages, count, 0)
        return max(sent, 0)


class ProcessFigures(NamedTuple):
    cpu_seconds: float
    """User and system time of all its threads."""
    resident_mib: float


def process_figures(pid: int) -> ProcessFigures:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return ProcessFigures(
        cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
        resident_mib=pages * resource.getpagesize() / (1 << 20),
    )


def busy_seconds() -> float:
    """CPU time that this machine has spent on anything, all cores together, what its host took away included."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    idle, waiting = int(fields[3]), int(fields[4])
    guests = sum(int(field) for field in fields[8:])  # are in the first two already
    return (sum(int(field) for field in fields) - idle - waiting - guests) / _TICKS


def softirq_seconds() -> float:
    """CPU time of the kernel's softirq threads: network work that overload moved out of the sender's account."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:  # it ended in between
            continue
        if "(ksoftirqd/" in text:
            fields = text.rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / _TICKS
    return total
