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


def last_event_id(request: web.Request) -> int | None:
    """Where an event stream left off; a new one may say it in the query. Raises BadRequest."""
    text = request.headers.get("Last-Event-ID")
    return position(request, "lastEventId") if text is None else _position(text, "Last-Event-ID")


def position(request: web.Request, name: str) -> int | None:
    """An event's number from the query. Raises BadRequest."""
    text = request.query.get(name)
    return None if text is None else _position(text, name)


def _position(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise BadRequest(f"{name} must be the number of an event", code="bad_position")
    return min(int(text[:20]), _LARGEST_ACK)
