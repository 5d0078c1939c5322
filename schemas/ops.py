"""What operators' tools read."""

from __future__ import annotations

from schemas.wire import Wire


class Health(Wire, frozen=True, kw_only=True):
    status: str


class Check(Wire, frozen=True, kw_only=True):
    """`reason` says what is wrong when `ok` is false."""

    ok: bool
    reason: str | None = None


class Readiness(Wire, frozen=True, kw_only=True):
    """What is behind it is for operators."""

    ready: bool
    database: Check | None = None
    redis: Check | None = None
    workers: Check | None = None
