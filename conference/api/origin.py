"""Whose pages may act with a cookie. A browser adds it to requests of other sites' pages too, and says who asks."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec
from aiohttp import hdrs, web

from conference.errors import Forbidden

_PORTS = {"http": 80, "https": 443}
_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
_FOREIGN = frozenset(("cross-site", "same-site"))
"""Of Sec-Fetch-Site: neither this very origin's page, nor the user themselves."""


class _Place(msgspec.Struct, frozen=True):
    host: str
    port: int


class OwnPages:
    """The pages of this domain: those of the host that was asked, and of the public URL when a proxy hides it."""

    def __init__(self, public_url: str | None) -> None:
        self._public = _place(public_url) if public_url else None

    def require(self, request: web.Request) -> None:
        """Of a request whose only credential is a cookie. Raises Forbidden (cross_site).

        What changes nothing passes: a page of another origin can't read the answer. A WebSocket it could.
        """
        if request.method in _SAFE_METHODS and not _opens_socket(request):
            return
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            own = request.headers.get("Sec-Fetch-Site") not in _FOREIGN
        else:
            own = self._is_own(origin, request.headers.get(hdrs.HOST, ""))
        if not own or request.headers.get("Sec-Fetch-Site") == "cross-site":
            raise Forbidden("another site may not act with this cookie", code="cross_site")

    def _is_own(self, origin: str, host: str) -> bool:
        """Host and port decide: whether TLS ended at a proxy can't be told from here."""
        asks = _place(origin)
        if asks is None:
            return False
        scheme = origin.partition(":")[0].lower()
        return asks in (self._public, _place(f"{scheme}://{host}"))


def _place(url: str) -> _Place | None:
    """None for what names none: an opaque origin is `null` (RFC 6454 section 7.1)."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            return None
        return _Place(parts.hostname, parts.port or _PORTS[parts.scheme])
    except ValueError:
        return None


def _opens_socket(request: web.Request) -> bool:
    return request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"
