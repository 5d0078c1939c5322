"""The list of meetings in pages. A client that asks for none gets a first one that holds what most people ever have;
the header Link names the next (RFC 8288)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

from multidict import MultiMapping

from conference.errors import BadRequest
from conference.storage.meetings import Page

MOST = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AFTER = re.compile(
    r"^[0-8]?[0-9]{1,15}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
)
"""Microseconds, for some 280 years, and the id of a meeting."""


def page(query: MultiMapping[str]) -> Page:
    """Raises BadRequest."""
    after = query.get("after")
    return Page(limit=_limit(query.get("limit")), after=None if after is None else _after(after))


def address(following: Page) -> str:
    created_at, meeting_id = following.after or (_EPOCH, UUID(int=0))
    since = (created_at - _EPOCH) // timedelta(microseconds=1)
    return f"/meetings?limit={following.limit}&after={since}-{meeting_id}"


def _limit(text: str | None) -> int:
    if text is None:
        return MOST
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= MOST:
        raise BadRequest(f"limit must be an integer from 1 to {MOST}", code="bad_limit")
    return int(text[:9])


def _after(text: str) -> tuple[datetime, UUID]:
    if not AFTER.fullmatch(text):
        raise BadRequest("after must be as the header Link had it", code="bad_position")
    since, _, name = text.partition("-")
    return _EPOCH + timedelta(microseconds=int(since)), UUID(name)
