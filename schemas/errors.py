"""The error body of the meetings and channels families."""

from __future__ import annotations

from schemas.wire import Wire


class Problem(Wire, frozen=True, kw_only=True):
    """`code` is stable and meant for programs; `message` says what is wrong and what to do."""

    code: str
    message: str
    details: dict[str, object] | None = None
