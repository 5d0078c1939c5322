"""Where clients are told to send media, as `parley doctor` sees it."""

from __future__ import annotations

import ipaddress

from msgspec.structs import replace

from conference.machine.finding import Finding
from config.settings import THIS_MACHINE, Settings


def addresses(settings: Settings, as_up: Settings) -> list[Finding]:
    """`parley up` listens otherwise than `parley sfu` by itself, so what they announce differs too."""
    of_up, of_sfu = announced(as_up), announced(settings)
    if of_up == of_sfu:
        return [of_up]
    return [
        replace(of_up, check="announced by `parley up`"),
        replace(of_sfu, check="announced by `parley sfu`"),
    ]


def announced(settings: Settings) -> Finding:
    """The addresses that clients are told to send media to."""
    check = "announced address"
    if not settings.media_announced:
        return _derived(check, settings)
    loopback = next(filter(_is_loopback, settings.media_announced), None)
    if loopback and not _is_loopback(settings.http_host):
        return _loopback_only(check, loopback)
    if settings.media_host == THIS_MACHINE or _is_loopback(settings.media_host):
        return Finding(
            check=check,
            level="warn",
            found=f"announces {', '.join(settings.media_announced)} but listens to this machine only",
            advice="set PARLEY_MEDIA_HOST to 0.0.0.0, unless something on this machine forwards media",
        )
    return Finding(check=check, level="ok", found=", ".join(settings.media_announced))


def _derived(check: str, settings: Settings) -> Finding:
    host = settings.media_host
    if host == THIS_MACHINE:
        if not _is_loopback(settings.http_host):
            return _loopback_only(check, "this machine only")
        found = f"{_candidates(host)} (to this machine only)"
        return Finding(check=check, level="ok", found=found)
    bound = ipaddress.ip_address(host)
    if bound.is_unspecified:
        return Finding(
            check=check,
            level="warn",
            found=f"not set; this machine's own are announced: {_candidates(host)}",
            advice="behind NAT or in a container, set PARLEY_MEDIA_ANNOUNCED to the address clients reach",
        )
    if bound.is_loopback and not _is_loopback(settings.http_host):
        return _loopback_only(check, str(bound))
    reach = " (this machine only)" if bound.is_loopback else ""
    return Finding(check=check, level="ok", found=f"{bound}, as PARLEY_MEDIA_HOST{reach}")


def _candidates(host: str) -> str:
    """As a worker with this media host finds them."""
    from sfu.transport.addresses import announced, bind  # no API process carries it

    with bind(host, 0) as sock:
        bound, port = sock.getsockname()[:2]
    return ", ".join(address for address, _ in announced(bound, port, []))


def _loopback_only(check: str, address: str) -> Finding:
    return Finding(
        check=check,
        level="warn",
        found=f"media goes to {address}, while HTTP is open to others",
        advice="set PARLEY_MEDIA_HOST=0.0.0.0 and PARLEY_MEDIA_ANNOUNCED to this machine's address",
    )


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)
