"""How long somebody who guesses has to wait."""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

FREE_TRIES = 5
"""People mistype."""
LONGEST_WAIT = timedelta(minutes=1)
"""Not longer: whoever shares an address with somebody who guesses could otherwise not sign in."""
CROWD = 50
"""Tries in vain at one account from all places together, before all places wait."""
CROWD_FORGETS = timedelta(seconds=30)
"""One of them each. Faster than one place may try: a single one that guesses never keeps the owner out."""


def wait_until(tries: int, last_at: datetime) -> datetime:
    """When the next try from this place is looked at, after so many in vain: twice as long after each, from one
    second on."""
    if tries < FREE_TRIES:
        return last_at
    doublings = min(tries - FREE_TRIES, 10)
    return last_at + min(timedelta(seconds=2**doublings), LONGEST_WAIT)


def crowd(tries: int, last_at: datetime, now: datetime) -> int:
    """What still counts of so many tries from everywhere."""
    return max(0, tries - max(now - last_at, timedelta()) // CROWD_FORGETS)


def crowd_waits_until(tries: int, last_at: datetime) -> datetime:
    """When the next try from anywhere is looked at."""
    return last_at + CROWD_FORGETS * max(0, tries - CROWD + 1)


def place(address: str | None) -> str:
    """Where a try comes from: an IPv4 address, or the /64 of an IPv6 one, which is one subscriber's (RFC 6177)."""
    try:
        found = ip_address((address or "").partition("%")[0])
    except ValueError:
        return ""
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or f"{IPv6Address(int(found) >> 64 << 64)}/64")
