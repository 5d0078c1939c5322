"""When to ask a publisher for a keyframe: merged over all who want one, throttled, repeated until seen."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

INTERVAL_US = 500_000
"""Between two requests for one track: a keyframe costs the publisher many times a frame's bits."""

PATIENT_AFTER = 6
PATIENT_INTERVAL_US = 2_000_000
"""A publisher that has not answered so many times is not sending; don't keep shouting."""


class _Request(msgspec.Struct):
    wanted: bool = False
    sent_us: int | None = None
    unanswered: int = 0


class KeyframeRequests:
    """Tracks are named by the caller's numbers. `want` and `due` may be called as often as one likes."""

    def __init__(self) -> None:
        self._requests: dict[int, _Request] = {}
        self.wanted = 0
        self.sent = 0

    @property
    def merged(self) -> int:
        """Wishes that needed no request of their own."""
        return max(0, self.wanted - self.sent)

    def want(self, track: int) -> None:
        """A viewer asked (PLI, FIR)."""
        self.wanted += 1
        self._request(track).wanted = True

    def seen(self, track: int) -> None:
        """A keyframe began: every wish so far is met."""
        request = self._request(track)
        request.wanted = False
        request.unanswered = 0

    def forget(self, track: int) -> None:
        self._requests.pop(track, None)

    def due(self, waiting: Iterable[int], now_us: int) -> list[int]:
        """Tracks to send a PLI for now. `waiting`: tracks that legs wait for, asked or not."""
        for track in waiting:
            request = self._request(track)
            self.wanted += not request.wanted
            request.wanted = True
        due = [track for track, request in self._requests.items() if self._is_due(request, now_us)]
        for track in due:
            request = self._requests[track]
            request.sent_us = now_us
            request.unanswered += 1
        self.sent += len(due)
        return due

    def _is_due(self, request: _Request, now_us: int) -> bool:
        if not request.wanted:
            return False
        if request.sent_us is None:
            return True
        patient = request.unanswered >= PATIENT_AFTER
        return now_us - request.sent_us >= (PATIENT_INTERVAL_US if patient else INTERVAL_US)

    def _request(self, track: int) -> _Request:
        return self._requests.setdefault(track, _Request())
