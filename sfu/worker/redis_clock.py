"""What time it is at Redis, the one clock that the worker and the API processes share."""

from __future__ import annotations

from collections.abc import Callable

TRUSTED_WITHIN = 0.5
"""An answer that took longer says too little of when it was given."""


class RedisClock:
    """`now` is right to half a round trip, and follows a clock that is set, or another server's, at the next answer.

    Between answers it goes by the local monotonic clock.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._offset: float | None = None

    def heard(self, unix_time: float, asked_at: float) -> None:
        """Redis's answer to a question of `asked_at` (monotonic)."""
        took = self._monotonic() - asked_at
        if self._offset is None or took <= TRUSTED_WITHIN:
            self._offset = unix_time - (asked_at + took / 2)

    def now(self) -> float:
        """Unix time in seconds; 0 before the first answer, when nothing is late yet."""
        return 0.0 if self._offset is None else self._monotonic() + self._offset
