"""How long somebody who guesses has to wait."""

from __future__ import annotations

from datetime import datetime, timedelta

FREE_TRIES = 5
"""People mistype."""
LONGEST_WAIT = timedelta(minutes=1)
"""Not longer: whoever knows a name could otherwise keep its owner out."""


def wait_until(tries: int, last_at: datetime) -> datetime:
    """When the next try is looked at, after so many in vain: twice as long after each, from one second on."""
    if tries < FREE_TRIES:
        return last_at
    doublings = min(tries - FREE_TRIES, 10)
    return last_at + min(timedelta(seconds=2**doublings), LONGEST_WAIT)
