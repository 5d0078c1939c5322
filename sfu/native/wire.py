"""Addresses as the kernel has them (struct sockaddr), for a socket of either family."""

from __future__ import annotations

import ipaddress
import socket
import struct
from functools import lru_cache

from sfu.wire.address import Address

_V4 = struct.Struct("=H2s4s8x")
_V6 = struct.Struct("=H2sI16sI")
_MAPPED = bytes(10) + b"\xff\xff"


@lru_cache(maxsize=4096)
def to_wire(address: Address, dual: bool) -> bytes:
    """Raises ValueError for what is no IP address: names are never looked up here."""
    host, port = address
    bare, _, zone = host.partition("%")
    ip = ipaddress.ip_address(bare)
    if not 0 < port < 0x10000:
        raise ValueError(f"no UDP port: {port}")
    wire_port = port.to_bytes(2, "big")
    if not dual:
        if ip.version != 4:
            raise ValueError(f"{host} can't be reached from an IPv4 socket")
        return _V4.pack(socket.AF_INET, wire_port, ip.packed)
    if ip.version == 4:
        return _V6.pack(socket.AF_INET6, wire_port, 0, _MAPPED + ip.packed, 0)
    try:
        scope = socket.if_nametoindex(zone) if zone else 0
    except OSError as error:
        raise ValueError(f"no such interface: {zone}") from error
    return _V6.pack(socket.AF_INET6, wire_port, 0, ip.packed, scope)


def from_wire(wire: bytes) -> Address:
    """IPv4 on a dual-stack socket is plain IPv4."""
    port = int.from_bytes(wire[2:4], "big")
    if struct.unpack_from("=H", wire)[0] == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, wire[4:8]), port
    _, _, _, packed, scope = _V6.unpack_from(wire)
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:]), port
    host = socket.inet_ntop(socket.AF_INET6, packed)
    if not scope:
        return host, port
    try:
        return f"{host}%{socket.if_indextoname(scope)}", port
    except OSError:  # the interface has gone since
        return f"{host}%{scope}", port
