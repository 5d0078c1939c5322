"""What a poll asks for."""

from __future__ import annotations

import math

from aiohttp import web

from conference.errors import BadRequest
from config.settings import Settings

_SHORTEST = 0.001
_LARGEST_ACK = (
    10**15
)  # larger ones are out of any channel's range anyway, and Lua counts in doubles


def ack(request: web.Request) -> int:
    """Raises BadRequest."""
    text = request.query.get("ack", "")
    if not (text.isascii() and text.isdigit()) or int(text[:20]) < 1:
        raise BadRequest("ack must be an integer from 1 on", code="bad_ack")
    return min(int(text[:20]), _LARGEST_ACK)


def timeout(request: web.Request, settings: Settings) -> float:
    """Seconds, within the bounds. Raises BadRequest for what is not a number."""
    text = request.query.get("timeout")
    if text is None:
        return settings.poll_timeout
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds):
        raise BadRequest("timeout must be a number of seconds", code="bad_timeout")
    return min(max(seconds, _SHORTEST), settings.poll_timeout_max)
