"""SSRCs that no track claims: told to the caller now and then, and bounded."""

from __future__ import annotations

MAX_UNKNOWN = 32
TELL_EVERY_US = 1_000_000


class UnknownStreams:
    def __init__(self) -> None:
        self._told: dict[int, int] = {}
        """SSRC -> when it was last told, in order of first sight."""

    def make_room(self, ssrc: int, now_us: int) -> int | None:
        """Forget the oldest for a new one, if that has been told about long enough ago."""
        if ssrc in self._told or len(self._told) < MAX_UNKNOWN:
            return None
        oldest = next(iter(self._told))
        if now_us - self._told[oldest] < TELL_EVERY_US:
            return None
        del self._told[oldest]
        return oldest

    def has_room(self, ssrc: int) -> bool:
        return ssrc in self._told or len(self._told) < MAX_UNKNOWN

    def tell(self, ssrc: int, now_us: int) -> bool:
        """Whether to tell of it now: at most once a second."""
        told = self._told.get(ssrc)
        if told is not None and now_us - told < TELL_EVERY_US:
            return False
        self._told[ssrc] = now_us
        return True

    def claimed(self, ssrc: int) -> None:
        self._told.pop(ssrc, None)

    def retire(self, ssrc: int, now_us: int) -> int | None:
        """It is no track's any more, and unknown like others; whom it takes the place of, if there was no room."""
        evicted = next(iter(self._told)) if len(self._told) >= MAX_UNKNOWN else None
        if evicted is not None:
            del self._told[evicted]
        self._told[ssrc] = now_us - TELL_EVERY_US
        return evicted
