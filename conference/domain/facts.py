"""What a decision leaves to be told, and to whom. Plain data."""

from __future__ import annotations

from enum import IntEnum
from uuid import UUID

import msgspec

from schemas.events import Event


class Urgency(IntEnum):
    """How long an event may wait for others, where its reader said that some may: see bus/poll.lua."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """Who gets an event: every channel of `users`, and the channels `queues`; the union of both."""

    users: frozenset[UUID] = frozenset()
    queues: frozenset[UUID] = frozenset()

    def __or__(self, other: Audience) -> Audience:
        return Audience(users=self.users | other.users, queues=self.queues | other.queues)


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way, not yet tied to a channel."""

    event: Event
    audience: Audience
    urgency: Urgency = Urgency.HIGH
