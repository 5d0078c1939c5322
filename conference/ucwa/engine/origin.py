"""Where clients reach this domain, as far as what is written into answers goes."""

from __future__ import annotations

from aiohttp import web


class Origin:
    """`public_url`: what an operator says; None: what each client asked."""

    def __init__(self, public_url: str | None) -> None:
        self._public_url = public_url.rstrip("/") if public_url else None

    @property
    def secure(self) -> bool:
        """Whether a proxy in front speaks TLS."""
        return (self._public_url or "").startswith("https://")

    def of(self, request: web.Request) -> str:
        """Scheme and host, without a slash at the end; empty when the request names no host that could be one."""
        if self._public_url:
            return self._public_url
        try:
            return str(request.url.origin())
        except ValueError:
            return ""
