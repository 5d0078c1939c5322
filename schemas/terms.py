"""Words with a fixed set of values that the wire, the domain and the tables share.

Requests may write them in any case; responses use the form given here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Term(StrEnum):
    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        return next((term for term in cls if term.value.lower() == value.lower()), None)


class MeetingType(Term):
    """A permanent meeting is never removed by itself; a scheduled one is, once past its expiration and empty."""

    PERMANENT = "permanent"
    SCHEDULED = "scheduled"


class UserType(Term):
    """What a user of the access list is there."""

    MODERATOR = "moderator"
    REGISTERED = "registered"


class QueueStatus(Term):
    """A row of the waiting room. ACCEPTED: let in, but not joined yet."""

    WAITING = "WAITING"
    ACCEPTED = "ACCEPTED"


class QueueUpdateStatus(Term):
    """What is decided about someone in the waiting room."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"


class JoinStatus(Term):
    """How an attempt to join ended: in, or in the waiting room."""

    ACCEPTED = "ACCEPTED"
    WAITING = "WAITING"


class StreamType(Term):
    """The video streams a participant can publish."""

    VIDEO = "video"
    SCREEN = "screen"
