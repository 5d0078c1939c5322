"""A UCWA application: one program of a user on one device, and when it ends by itself."""

from __future__ import annotations

from datetime import datetime
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
