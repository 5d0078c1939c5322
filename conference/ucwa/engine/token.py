"""How a request carries its token: marked in Authorization, or in a cookie by which a page can show photos.

An <img> sends no Authorization; the cookie opens nothing but pictures.
"""

from __future__ import annotations

import re

from aiohttp import web

from conference.api import auth
from conference.ucwa.engine.call import Reply

MARK = "cwt="
"""Written before each token that is given out."""
_COOKIE = "cwt_ucwa"
_PHOTOS = re.compile(r"/ucwa/(?:oauth/)?v1/applications/[^/]+/(?:.+/)?[a-zA-Z]*[pP]hoto")
_SAFE = re.compile(r"[A-Za-z0-9._~+/=-]+")


def bearer(request: web.Request) -> str | None:
    """The token that came on purpose."""
    return auth.bearer(request, (MARK,))


def plain(text: str) -> str:
    return auth.unmarked(text, (MARK,))


def in_cookie(request: web.Request) -> str | None:
    """The token in the cookie, where it counts."""
    return request.cookies.get(_COOKIE) if _PHOTOS.fullmatch(request.path) else None


def needs_cookie(token: str | None, reply: Reply) -> bool:
    """Only an answer that shows the application, to a token that was sent on purpose."""
    return (
        token is not None
        and _SAFE.fullmatch(token) is not None
        and reply.resource is not None
        and reply.resource.rel == "application"
    )


def cookie(token: str, *, secure: bool) -> str:
    """Lasts as long as the browser runs. Pages of other sites may show our pictures over TLS alone."""
    rest = "Secure; SameSite=None" if secure else "SameSite=Lax"
    return f"{_COOKIE}={token}; Path=/ucwa; HttpOnly; {rest}"
