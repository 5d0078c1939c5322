"""How busy the worker's process is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

WINDOW = 5
"""Looks that are kept; the registry looks once a second."""


class Load:
    """CPU share of one core over the last looks. Both clocks in seconds."""

    def __init__(self, wall: Callable[[], float], cpu: Callable[[], float]) -> None:
        self._wall = wall
        self._cpu = cpu
        self._looks: deque[tuple[float, float]] = deque([(wall(), cpu())], maxlen=WINDOW + 1)

    def look(self) -> float:
        """0 to 1; 0 as long as no time has passed."""
        self._looks.append((self._wall(), self._cpu()))
        (wall_then, cpu_then), (wall_now, cpu_now) = self._looks[0], self._looks[-1]
        passed = wall_now - wall_then
        return min(1.0, max(0.0, (cpu_now - cpu_then) / passed)) if passed > 0 else 0.0
