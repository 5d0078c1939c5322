"""On which terms a poll waits. The rules are in poll.lua."""

from __future__ import annotations

import msgspec

from conference.bus.redis import Argument

_SAID_NOTHING = b""


class DefaultTerms(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds: after how long a poll is answered without events, and for how long those of medium and of low
    urgency are held back for others."""

    timeout: float
    medium: float
    low: float


class PollTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What this poll says, None for what was said last; `default` where nothing was. Times in seconds.

    `priority`: a poll of a lower one does not take the place of a parked one. `silence`: a reader that was away
    for longer begins anew; None: never.
    """

    default: DefaultTerms
    silence: float | None = None
    timeout: float | None = None
    medium: float | None = None
    low: float | None = None
    priority: int | None = None

    def arguments(self) -> tuple[Argument, ...]:
        """As the script has them."""
        default = self.default
        return (
            *(_milliseconds(value) for value in (self.timeout, self.medium, self.low)),
            _SAID_NOTHING if self.priority is None else self.priority,
            *(_milliseconds(value) for value in (default.timeout, default.medium, default.low)),
            _milliseconds(self.silence),
        )


def plain(timeout: float) -> PollTerms:
    """Holds nothing back, and waits so many seconds."""
    default = DefaultTerms(timeout=timeout, medium=0.0, low=0.0)
    return PollTerms(default=default, timeout=timeout, medium=0.0, low=0.0)


def _milliseconds(seconds: float | None) -> Argument:
    return _SAID_NOTHING if seconds is None else int(seconds * 1000)
