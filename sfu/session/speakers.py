"""Who talks, and who is heard in whose audio slots. Pure: times come in.

A meeting of hundreds has hundreds of listeners and a handful of voices, so the choice is made once for every
number of slots, not once for every listener: all with three slots hear the same three, and one of those three
hears a fourth in its own place.
"""

from __future__ import annotations

from collections.abc import Iterable, KeysView, Mapping
from uuid import UUID

import msgspec

from sfu.path.interface import Levels
from sfu.session.talk import Loudness, TalkingDetector, choose, heard, rank


class _Microphone(msgspec.Struct, eq=False):
    detector: TalkingDetector
    loudness: Loudness


class _Selection(msgspec.Struct):
    """Who is heard by those who are not among them, and who takes one's own place for those who are."""

    heard: list[UUID | None]
    spare: UUID | None = None


class Speakers:
    """The open microphones of one meeting and how loud each has been lately."""

    def __init__(self) -> None:
        self._microphones: dict[UUID, _Microphone] = {}
        self._loudness: dict[UUID, float] = {}
        self._selections: dict[int, _Selection] = {}

    def open(self, user: UUID) -> None:
        """The user can be heard from now on. Not for one who can be already."""
        microphone = self._microphones[user] = _Microphone(TalkingDetector(), Loudness())
        self._loudness[user] = microphone.loudness.value

    def close(self, user: UUID) -> bool:
        """The user can't be heard any more; whether that ended a talk."""
        del self._loudness[user]
        return self._microphones.pop(user).detector.stop() is False

    @property
    def microphones(self) -> KeysView[UUID]:
        """Who can be heard, in order of opening."""
        return self._microphones.keys()

    def hear(self, levels: Mapping[UUID, Levels], now_us: int) -> list[tuple[UUID, bool]]:
        """Take one look's levels, also for those without any; who began (True) or stopped (False) to talk."""
        edges = []
        for user, microphone in self._microphones.items():
            count, total = heard(levels.get(user))
            self._loudness[user] = microphone.loudness.hear(count, total)
            edge = microphone.detector.hear(count, total, now_us)
            if edge is not None:
                edges.append((user, edge))
        return edges

    def select(self, sizes: Iterable[int]) -> set[int]:
        """Choose anew for listeners with so many slots; for which numbers the choice has changed."""
        wanted = set(sizes)
        # The loudest first; ties, as among the silent, in the order of coming.
        ranked = rank(self._loudness, max(wanted, default=0) + 1)
        changed = {size for size in wanted if self._select(size, ranked)}
        self._selections = {size: self._selections[size] for size in wanted}
        return changed

    def chosen(self, user: UUID) -> bool:
        """Whether anybody is to hear this user, by the last choice."""
        return any(
            user in selection.heard or user == selection.spare
            for selection in self._selections.values()
        )

    def slots_for(self, listener: UUID, present: list[UUID | None]) -> list[UUID | None]:
        """Whom the listener hears in each slot, by the last choice. Who is heard already keeps the slot."""
        selection = self._selections[len(present)]
        chosen = [user for user in selection.heard if user is not None and user != listener]
        if listener in selection.heard and selection.spare is not None:
            chosen.append(selection.spare)
        return keep_places(present, chosen)

    def _select(self, size: int, ranked: list[UUID]) -> bool:
        former = self._selections.get(size) or _Selection([None] * size)
        heard = choose(former.heard, ranked, self._loudness)
        among = [user for user in heard if user is not None]
        (spare,) = choose([former.spare], ranked, self._loudness, without=among)
        chosen = self._selections[size] = _Selection(heard, spare)
        return chosen != former


def keep_places(present: list[UUID | None], chosen: list[UUID]) -> list[UUID | None]:
    """The chosen ones, in their present places where they have one; newcomers take the other places."""
    placed = [user if user in chosen else None for user in present]
    newcomers = iter([user for user in chosen if user not in placed])
    return [user if user is not None else next(newcomers, None) for user in placed]
