"""Who is talking, and whose voices are worth forwarding (audio levels of RFC 6464, in -dBov)."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeVar

from sfu.path.interface import Levels

THRESHOLD = 65
"""A mean level louder (numerically lower) than this is speech."""

HYSTERESIS = 5
WINDOW_PACKETS = 10
WINDOW_US = 200_000
QUIET_WINDOWS = 3
"""So many quiet windows end it: people pause between words."""

SILENT = 127

ASSUMED = 58
"""The loudest that sound without a level is taken for (RFC 6464 is an extension that a client need not have): speech,
but softer than most, so that it gives way to a voice that is known to be one."""

QUIET_OCTETS = 10
"""A payload no larger holds no sound: discontinuous transmission and silence in Opus (RFC 6716 section 2.1.9)."""


def assumed(octets: int) -> int:
    """The level of a payload of this size. Opus spends more on a voice than on a silent room.

    libwebrtc's silence is 35 octets and its speech 80 and more; from 57 on it counts as speech (THRESHOLD).
    """
    if octets <= QUIET_OCTETS:
        return SILENT
    return max(ASSUMED, 117 - 23 * octets // 25)


def heard(levels: Levels | None) -> tuple[int, int]:
    """(count, sum) of one look's levels, told or assumed."""
    if levels is None:
        return 0, 0
    if levels.count or not levels.bare:
        return levels.count, levels.total
    return levels.bare, levels.bare * assumed(levels.bare_octets // levels.bare)


class TalkingDetector:
    """One microphone. Feed it the levels of each look, also when there were none."""

    def __init__(self) -> None:
        self.talking = False
        self._count = self._total = 0
        self._began_us: int | None = None
        self._quiet = 0

    def hear(self, count: int, total: int, now_us: int) -> bool | None:
        """True when talking starts, False when it stops, else None. `total` is the sum of `count` levels."""
        if self._began_us is None:
            self._began_us = now_us
        self._count += count
        self._total += total
        if self._count < WINDOW_PACKETS and now_us - self._began_us < WINDOW_US:
            return None
        # A stream that stops (DTX) is silence.
        mean = self._total / self._count if self._count else SILENT
        self._count = self._total = 0
        self._began_us = now_us
        return self._judge(mean)

    def stop(self) -> bool | None:
        """Muted or gone. False if that ends talking."""
        was, self.talking = self.talking, False
        self._count = self._total = self._quiet = 0
        self._began_us = None
        return False if was else None

    def _judge(self, mean: float) -> bool | None:
        if mean <= THRESHOLD:
            self._quiet = 0
            if self.talking:
                return None
            self.talking = True
            return True
        if not self.talking or mean <= THRESHOLD + HYSTERESIS:
            return None
        self._quiet += 1
        if self._quiet < QUIET_WINDOWS:
            return None
        self.talking, self._quiet = False, 0
        return False


Speaker = TypeVar("Speaker", bound=Hashable)

MARGIN = 10.0
"""By how many dB a voice must beat one that is heard already."""

_RISE = 0.5
_FALL = 0.1


class Loudness:
    """A smoothed level: rises within a word, falls over a sentence, so that pauses don't swap speakers."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0
        """dB above silence."""

    def hear(self, count: int, total: int) -> float:
        """The levels of one look; looks are about 100 to 200 ms apart."""
        heard = SILENT - total / count if count else 0.0
        self.value += (heard - self.value) * (_RISE if heard > self.value else _FALL)
        return self.value


def rank(loudness: Mapping[Speaker, float], most: int) -> list[Speaker]:
    """The loudest, loudest first."""
    return sorted(loudness, key=lambda speaker: -loudness[speaker])[:most]


def choose(
    slots: Sequence[Speaker | None],
    ranked: Sequence[Speaker],
    loudness: Mapping[Speaker, float],
    without: Collection[Speaker] = (),
) -> list[Speaker | None]:
    """Who is heard in each slot from now on, moving as few as possible.

    `ranked` must hold at least as many as there are slots and `without` together, if there are so many.
    Empty slots are filled even with silent ones, whose first word is then not cut off.
    """
    chosen: list[Speaker | None] = [
        speaker if speaker in loudness and speaker not in without else None for speaker in slots
    ]
    challengers = [
        speaker for speaker in ranked if speaker not in without and speaker not in chosen
    ]
    for challenger in challengers:
        index = _place(chosen, loudness, loudness[challenger])
        if index is None:
            break
        chosen[index] = challenger
    return chosen


def _place(
    chosen: Sequence[Speaker | None], loudness: Mapping[Speaker, float], level: float
) -> int | None:
    """The slot that a voice of this level takes: an empty one, or the quietest if clearly beaten."""
    if None in chosen:
        return chosen.index(None)
    if not chosen:
        return None
    quietest = min(range(len(chosen)), key=lambda index: _level(loudness, chosen[index]))
    return quietest if level >= _level(loudness, chosen[quietest]) + MARGIN else None


def _level(loudness: Mapping[Speaker, float], speaker: Speaker | None) -> float:
    return loudness[speaker] if speaker is not None else -1.0
