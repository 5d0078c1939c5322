"""What a patient reader says of itself, and what it gets. The rules are in poll.lua."""

from __future__ import annotations

import msgspec

from conference.bus.redis import Argument

_SAID_NOTHING = b""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds: after how long a poll is answered without events, and for how long those of medium and of low
    urgency are held back for others."""

    timeout: float
    medium: float
    low: float


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """What this poll says, None for what was said last; `usual` where nothing was. Times in seconds.

    `priority`: a poll of a lower one does not take the place of a parked one. `silence`: a reader that was away
    for longer begins anew.
    """

    usual: Pace
    silence: float
    timeout: float | None = None
    medium: float | None = None
    low: float | None = None
    priority: int | None = None

    def terms(self) -> tuple[Argument, ...]:
        """As the script's arguments."""
        said = (self.timeout, self.medium, self.low)
        usual = (self.usual.timeout, self.usual.medium, self.usual.low, self.silence)
        rank = _SAID_NOTHING if self.priority is None else self.priority
        return (
            *(_SAID_NOTHING if value is None else int(value * 1000) for value in said),
            rank,
            *(int(value * 1000) for value in usual),
        )


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """What a patient poll got: JSON objects, encoded; none, when its time was over.

    `counts`: the position after this one is the next to ask for; otherwise it is this one again. `resumed`: the
    reader was away for so long that what is transient is gone.
    """

    events: list[bytes]
    counts: bool
    resumed: bool
