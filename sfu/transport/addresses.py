"""Where the worker's socket listens, who may send to it, and which addresses clients are told to send to."""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import socket
import struct
from collections.abc import Sequence

from aioice.ice import get_host_addresses

from config.settings import THIS_MACHINE
from sfu.wire.address import Address

LOOPBACK = "127.0.0.1"

_SO_ATTACH_FILTER = 26  # Linux; the socket module has no name for it
_INSTRUCTION = struct.Struct("HBBI")  # struct sock_filter, linux/filter.h
_PROGRAM = struct.Struct("HP")  # struct sock_fprog
_LOOPBACK_ONLY = (
    (0x20, 0, 0, 0xFFFFF008),  # ld: the interface it came in by (SKF_AD_OFF + SKF_AD_IFINDEX)
    (0x15, 0, 1, 1),  # jeq: lo, which is number 1 everywhere (LOOPBACK_IFINDEX, include/net/flow.h)
    (0x06, 0, 0, 0xFFFFFFFF),  # ret: all of it
    (0x06, 0, 0, 0),  # ret: nothing
)


def announced(host: str, port: int, configured: Sequence[str]) -> list[Address]:
    """The candidates of our descriptions, the preferred one first. Raises ValueError for what is no IP address.

    What the operator configured wins. Otherwise the address that the socket is bound to, or, when that is a
    wildcard, this machine's own addresses and then loopback, for clients on this machine.
    """
    if configured:
        return [(str(ipaddress.ip_address(item.strip())), port) for item in configured]
    bound = ipaddress.ip_address(host)
    if not bound.is_unspecified:
        return [(host, port)]
    own = get_host_addresses(use_ipv4=True, use_ipv6=bound.version == 6)
    return [
        *((item, port) for item in own if not ipaddress.ip_address(item).is_loopback),
        (LOOPBACK, port),
    ]


def bind(host: str, port: int) -> socket.socket:
    """The worker's UDP socket; port 0 takes any. An IPv6 wildcard takes IPv4 as well.

    THIS_MACHINE is a wildcard that takes only what this machine sends. Raises OSError.
    """
    if host == THIS_MACHINE:
        return _bind_for_this_machine(port)
    version = ipaddress.ip_address(host).version
    return _bound(socket.AF_INET6 if version == 6 else socket.AF_INET, host, port, ())


def _bind_for_this_machine(port: int) -> socket.socket:
    """On loopback alone no Firefox connects: it pairs a loopback candidate with none of its own addresses.

    So one of the machine's addresses must be there too, and the kernel is asked to keep the network out: what
    a machine sends to any of its own addresses comes in by the loopback interface, whatever it claims to be.
    """
    for family, wildcard in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
        try:
            return _bound(family, wildcard, port, _LOOPBACK_ONLY)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise
    # Where the kernel can't keep the network out, loopback does.
    return _bound(socket.AF_INET, LOOPBACK, port, ())


def _bound(
    family: socket.AddressFamily, host: str, port: int, only: Sequence[tuple[int, int, int, int]]
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if only:
            _filter(sock, only)  # before it is bound: nothing slips in
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _filter(sock: socket.socket, program: Sequence[tuple[int, int, int, int]]) -> None:
    code = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*each) for each in program))
    where = _PROGRAM.pack(len(program), ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, where)
