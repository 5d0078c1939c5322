"""Who talks, and who is heard in whose audio slots. Pure: times come in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

import msgspec

from sfu.path import Levels
from sfu.rtp.talk import Loudness, TalkingDetector, choose, rank


class _Microphone(msgspec.Struct, eq=False):
    detector: TalkingDetector
    loudness: Loudness


class Speakers:
    """The open microphones of one meeting and how loud each has been lately."""

    def __init__(self) -> None:
        self._microphones: dict[UUID, _Microphone] = {}
        self._loudness: dict[UUID, float] = {}

    def open(self, users: Iterable[UUID]) -> list[UUID]:
        """Those who can be heard, from now on; of the others, who thereby stopped talking."""
        present = dict.fromkeys(users)
        gone = [user for user in self._microphones if user not in present]
        stopped = [user for user in gone if self._microphones.pop(user).detector.stop() is False]
        for user in present:
            if user not in self._microphones:
                self._microphones[user] = _Microphone(TalkingDetector(), Loudness())
        self._loudness = {user: mic.loudness.value for user, mic in self._microphones.items()}
        return stopped

    def hear(self, levels: Mapping[UUID, Levels], now_us: int) -> list[tuple[UUID, bool]]:
        """Take one look's levels, also for those without any; who began (True) or stopped (False) to talk."""
        edges = []
        for user, microphone in self._microphones.items():
            heard = levels.get(user)
            count, total = (heard.count, heard.total) if heard else (0, 0)
            self._loudness[user] = microphone.loudness.hear(count, total)
            edge = microphone.detector.hear(count, total, now_us)
            if edge is not None:
                edges.append((user, edge))
        return edges

    def ranked(self, most: int) -> list[UUID]:
        """The loudest first; ties, as among the silent, in the order of coming."""
        return rank(self._loudness, most)

    def slots_for(
        self, listener: UUID, present: list[UUID | None], ranked: list[UUID]
    ) -> list[UUID | None]:
        """Whom the listener hears in each slot. `ranked`: at least one more than there are slots."""
        return choose(present, ranked, self._loudness, without={listener})
