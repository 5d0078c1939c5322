"""A UCWA application: one program of a user on one device, and when it ends by itself."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from uuid import UUID

import msgspec


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """The same user, culture, user agent, endpoint and type are the same application. Each instance of it (a tab,
    a process) has an event channel of its own."""

    id: str
    user_id: UUID
    culture: str
    user_agent: str
    endpoint_id: str
    type: str
    created_at: datetime
    available: bool = False
    """Whether makeMeAvailable was called: from then on it has a presence, and must report activity."""
    anonymous: bool = False
    """Made with an anonymous meeting token."""
    instance_id: str = ""
    """Which instance of it looks, by the name that the client gave it; '' when it gave none."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What makes two requests speak of one application, besides the user."""

    culture: str
    user_agent: str
    endpoint_id: str
    type: str


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """`instance_id` is the client's, '' when it gave none. `polled`: its channel was read at least once."""

    application_id: str
    instance_id: str
    queue_id: UUID
    polled: bool = False


class Ending(StrEnum):
    """Why an application is there no more: the subcode that its next request gets."""

    DELETED = "ApplicationNotFound"
    TOO_MANY = "TooManyApplications"
    INACTIVE = "InactiveApplicationExpired"
    USER_AGENT = "UserAgentNotAllowed"


def is_refused(user_agent: str, patterns: Iterable[str]) -> bool:
    """Whether a user agent matches one of the patterns: `*`, `?` and `[...]` as in file names, in any case."""
    name = user_agent.lower()
    return any(fnmatchcase(name, pattern.lower()) for pattern in patterns)
