"""What becomes of a job whose attempt failed. Pure.

| attempt | waits for | then |
|---|---|---|
| the n-th, n up to the number of delays | the n-th delay, or longer if whoever failed asks for it | the next attempt |
| one more than there are delays | | given up, and shown |
| any, if trying again can't help | | given up at once |
"""

from __future__ import annotations

from collections.abc import Sequence

RETRY_DELAYS = (5.0, 30.0, 120.0, 600.0, 3_600.0)
"""Seconds before the second attempt, the third, and so on, where a kind does not say."""


def delay_after(attempts: int, delays: Sequence[float], asked: float | None = None) -> float | None:
    """Seconds until the next attempt after so many that failed; None when it is given up.

    `asked`: what the other side wants (Retry-After); never less than ours, and at most the longest of ours.
    """
    if attempts > len(delays):
        return None
    own = delays[attempts - 1]
    return own if asked is None else max(own, min(asked, max(delays)))
