"""The cookie by which a page can show photos: an <img> sends no Authorization."""

from __future__ import annotations

import re

from conference.api.auth import PHOTO_COOKIE
from conference.ucwa.engine.call import Reply

_SAFE = re.compile(r"[A-Za-z0-9._~+/=-]+")


def belongs(token: str | None, reply: Reply) -> bool:
    """Only to an answer that shows the application, and to a token that was sent on purpose."""
    return (
        token is not None
        and _SAFE.fullmatch(token) is not None
        and reply.resource is not None
        and reply.resource.rel == "application"
    )


def written(token: str, *, secure: bool) -> str:
    """Lasts as long as the browser runs. Pages of other sites may show our pictures over TLS alone."""
    rest = "Secure; SameSite=None" if secure else "SameSite=Lax"
    return f"{PHOTO_COOKIE}={token}; Path=/ucwa; HttpOnly; {rest}"
