"""Who may see figures and what is down: an operator's token, or being on this machine where nothing stands in front."""

from __future__ import annotations

import hmac
import ipaddress

from aiohttp import hdrs, web

from conference.errors import Unauthenticated

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "Via")


class Operators:
    def __init__(self, token: str | None, public_url: str | None) -> None:
        """Without `token` this machine's own requests count; with a `public_url` those are a proxy's."""
        self._token = token
        self._here = token is None and public_url is None

    def require(self, request: web.Request) -> None:
        """Raises Unauthenticated."""
        if not self.has(request):
            raise Unauthenticated(
                "this is for operators: send PARLEY_OPS_TOKEN as a bearer token", code="no_operator"
            )

    def has(self, request: web.Request) -> bool:
        if self._here:
            return _is_here(request)
        scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        known = (self._token or "").encode()
        return (
            bool(known)
            and scheme.lower() == "bearer"
            and hmac.compare_digest(given.strip().encode(errors="surrogateescape"), known)
        )


def _is_here(request: web.Request) -> bool:
    if any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        return False
