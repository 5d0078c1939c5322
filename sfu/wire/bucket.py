"""How much of something one client may bring or set off. Pure: times come in."""

from __future__ import annotations


class Bucket:
    """A token bucket: `rate` a second, and `most` at once."""

    __slots__ = ("_filled_us", "_most", "_rate", "_tokens")

    def __init__(self, rate: float, most: float) -> None:
        self._rate = rate
        self._most = most
        self._tokens = most
        self._filled_us: int | None = None

    def take(self, now_us: int, count: float = 1) -> bool:
        """Whether there were so many; if not, none are taken."""
        if self._filled_us is not None:
            gained = (now_us - self._filled_us) * self._rate / 1_000_000
            self._tokens = min(self._most, self._tokens + gained)
        self._filled_us = now_us
        if self._tokens < count:
            return False
        self._tokens -= count
        return True
