"""What a participant's commands may take of the media loop's time. Pure: times come in."""

from __future__ import annotations

from uuid import UUID

SHARE = 0.03
"""Of one core, for each participant, in the long run."""
SAVED_US = 500_000
"""What one may take at once after a quiet time: a hundred descriptions of the worst kind."""


class Allowance:
    """CPU time is counted, not commands: one may be cheap, another set the sound of three thousand anew."""

    def __init__(self) -> None:
        self._debts: dict[UUID, tuple[float, int]] = {}
        """What each has taken and not paid back yet (µs), and as of when."""

    def __len__(self) -> int:
        return len(self._debts)

    def spend(self, user: UUID, cost_us: int, now_us: int) -> None:
        self._debts[user] = self._debt(user, now_us) + cost_us, now_us

    def wait(self, user: UUID, now_us: int) -> int:
        """Seconds until the user may ask for anything again; 0: now."""
        over = self._debt(user, now_us) - SAVED_US
        return 0 if over <= 0 else int(over / SHARE / 1_000_000) + 1

    def forget_paid(self, now_us: int) -> None:
        """Once in a while: whoever owes nothing takes no memory."""
        for user in [user for user in self._debts if self._debt(user, now_us) <= 0]:
            del self._debts[user]

    def _debt(self, user: UUID, now_us: int) -> float:
        debt, since_us = self._debts.get(user, (0.0, now_us))
        return max(0.0, debt - (now_us - since_us) * SHARE)
