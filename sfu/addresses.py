"""Which addresses clients are told to send to."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from aioice.ice import get_host_addresses

from config.settings import SettingsError
from sfu.path import Address


def announced(host: str, port: int, configured: Sequence[str]) -> list[Address]:
    """The candidates of our descriptions, the preferred one first. Raises SettingsError for what is no IP address.

    What the operator configured wins. Otherwise the address that the socket is bound to, or, when that is a
    wildcard, this machine's own addresses and then loopback, for clients on this machine.
    """
    if configured:
        return [(str(parse_address("media_announced", item.strip())), port) for item in configured]
    bound = parse_address("media_host", host)
    if not bound.is_unspecified:
        return [(host, port)]
    dual = bound.version == 6
    own = get_host_addresses(use_ipv4=True, use_ipv6=dual)
    return [(item, port) for item in [*own, "127.0.0.1"]]


def parse_address(setting: str, value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Raises SettingsError, naming the setting."""
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        raise SettingsError(f"setting {setting}: {value!r} is no IP address") from None
