"""What one viewer gets again of what it asks for, and when asking says that its link is full. Pure: times come in.

Nothing that is sent again may make a full link fuller: a quarter of what is sent goes into repair at most, a packet
three times, and nothing while a tenth or more is lost in spite of it. What a link can't carry at all is not repaired
but paused (`sfu.rtcp.link`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from sfu.wire.bucket import Bucket

SHARE = 4
"""What is sent again in a second is at most one part in so many of what was sent in it."""
MAX_TIMES = 3
MAX_AT_ONCE = 256
SHORTEST_WAIT_US = 20_000
"""However short the round trip: a packet that was sent again just now is on its way."""
SECOND_US = 1_000_000

FORGET_US = 2_000_000
"""A number that has not been asked for so long is another packet's, or of no use to anybody."""
MAX_REMEMBERED = 2048

LOSSY_FOR_US = 2_500_000
"""Two reports of much loss that are no further apart hold so long: receivers report about once a second. Of a stream
of few packets a single one says little."""
REPORTS_TOO_MANY = 3
REPORTS_WITHIN_US = 5_000_000
REPORTS_APART_US = 300_000

WINDOW_US = 300_000
WINDOWS_TOO_MANY = 2
"""In a row: an outage is asked for in one of them, however long it was."""
FEWEST_ASKED = 8

WISHES = 3
WISHES_PER_SECOND = 1 / 3
"""Keyframes that one viewer may wish for: each is paid for by the publisher and by all other viewers."""


class _Asked(msgspec.Struct):
    asked_us: int
    sent_us: int = 0
    times: int = 0


class Repair:
    """One leg's."""

    def __init__(self) -> None:
        self._asked: dict[int, _Asked] = {}
        """By number, in order of asking."""
        self._spent: deque[tuple[int, int]] = deque()
        self._strain = _Strain()
        self._reports: deque[int] = deque(maxlen=REPORTS_TOO_MANY)
        self._wishes = Bucket(WISHES_PER_SECOND, WISHES)

    # loss

    def asks(self, sequences: Iterable[int], packets_sent: int, now_us: int) -> bool:
        """Note what is asked for; whether so much is lost that no repair helps. `packets_sent` ever."""
        fresh = 0
        for sequence in sequences:
            asked = self._asked.get(sequence)
            if asked is None or now_us - asked.asked_us > FORGET_US:
                self._asked.pop(sequence, None)
                self._asked[sequence] = _Asked(now_us)
                fresh += 1
            else:
                asked.asked_us = now_us
        while len(self._asked) > MAX_REMEMBERED:
            del self._asked[next(iter(self._asked))]
        return self._strain.asked(fresh, packets_sent, now_us)

    def reports_loss(self, now_us: int) -> bool:
        """The viewer reports that a tenth or more is lost; whether it has been doing so for some time."""
        if self._reports and now_us - self._reports[-1] < REPORTS_APART_US:
            return False
        self._reports.append(now_us)
        return (
            len(self._reports) == REPORTS_TOO_MANY
            and now_us - self._reports[0] <= REPORTS_WITHIN_US
        )

    def start_over(self) -> None:
        """What was lost so far says nothing about what is sent from now on."""
        self._strain = _Strain()
        self._reports.clear()

    # answers

    def admit(self, sequences: Iterable[int], now_us: int, rtt_us: int) -> list[int]:
        """Which of these to send again now."""
        if self._is_lossy(now_us):
            return []
        wait_us = max(rtt_us, SHORTEST_WAIT_US)
        admitted: list[int] = []
        for sequence in sequences:
            asked = self._asked.get(sequence)
            if asked is None or asked.times == MAX_TIMES:
                continue
            if asked.times and now_us - asked.sent_us < wait_us:
                continue
            if len(admitted) == MAX_AT_ONCE:
                break
            asked.times += 1
            asked.sent_us = now_us
            admitted.append(sequence)
        return admitted

    def _is_lossy(self, now_us: int) -> bool:
        if len(self._reports) < 2 or now_us - self._reports[-1] >= LOSSY_FOR_US:
            return False
        return self._reports[-1] - self._reports[-2] <= LOSSY_FOR_US

    def room(self, recent_octets: int, now_us: int) -> int:
        """How many octets may be sent again now, after so many were sent in the last second."""
        while self._spent and now_us - self._spent[0][0] >= SECOND_US:
            self._spent.popleft()
        return max(0, recent_octets // SHARE - sum(octets for _, octets in self._spent))

    def spend(self, octets: int, now_us: int) -> None:
        if octets:
            self._spent.append((now_us, octets))

    def may_wish(self, now_us: int) -> bool:
        """Whether a keyframe that the viewer asks for is to be asked for on its behalf."""
        return self._wishes.take(now_us)


class _Strain:
    """Whether more is lost, window after window, than repair is allowed to mend."""

    def __init__(self) -> None:
        self._began_us: int | None = None
        self._packets = 0
        self._asked = 0
        self._bad = 0

    def asked(self, fresh: int, packets_sent: int, now_us: int) -> bool:
        began_us = self._began_us
        if began_us is None or now_us - began_us >= 3 * WINDOW_US:
            self._bad = 0
            self._begin(packets_sent, now_us)
        self._asked += fresh
        if began_us is None or now_us - began_us < WINDOW_US:
            return False
        sent = packets_sent - self._packets
        is_bad = self._asked >= FEWEST_ASKED and self._asked * SHARE > sent
        self._bad = self._bad + 1 if is_bad else 0
        self._begin(packets_sent, now_us)
        return self._bad >= WINDOWS_TOO_MANY

    def _begin(self, packets_sent: int, now_us: int) -> None:
        self._began_us, self._packets, self._asked = now_us, packets_sent, 0
