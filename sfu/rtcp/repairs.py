"""What viewers ask for: packets again, keyframes; and what is done for one whose link does not carry what it gets.

Each leg has its own account (`sfu.rtcp.repair`), each connection its own pauses (`sfu.rtcp.link`): whatever a viewer
asks for, it costs the publisher a keyframe now and then, the worker a quarter more than it sent, and others nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sfu.guard import Guard
from sfu.path.interface import PacketPath
from sfu.path.streams import Leg, Streams
from sfu.rtcp.link import Link
from sfu.rtcp.repair import Repair
from sfu.wire import rtcp

MAX_ASKED = 512
"""Numbers that are looked at of one compound packet: who misses more needs a keyframe."""


class Repairs:
    """`wish` is told of the tracks that a keyframe is wanted of; `rtt_us` says how long a transport's way is, and
    `upstream` how much of a track is lost before it gets here, of 256.
    """

    def __init__(
        self,
        path: PacketPath,
        streams: Streams,
        counters: Counter[str],
        *,
        wish: Callable[[int], None],
        upstream: Callable[[int], int],
        rtt_us: Callable[[int, int], int],
    ) -> None:
        self._path = path
        self._streams = streams
        self._counters = counters
        self._guard = Guard(counters)
        self._wish = wish
        self._rtt_us = rtt_us
        self._upstream = upstream
        self._legs: dict[int, Repair] = {}
        self._links: dict[int, Link] = {}

    def asked(self, transport: int, ssrc: int, sequences: list[int], now_us: int) -> None:
        """A viewer asks for these again."""
        leg = self._streams.leg_by_ssrc(transport, ssrc)
        if leg is None:
            return
        self._counters["nacks_received"] += len(sequences)
        if leg.paused:
            return
        repair = self._repair(leg)
        stats = self._path.send_stats(leg.number)
        # What the publisher's own link has lost says nothing about this one's.
        held = self._path.held(leg.number, sequences)
        self._counters["nacks_missed"] += len(sequences) - len(held)
        if repair.asks(held, stats.packets, now_us):
            self._strained(leg, now_us)
        room = repair.room(stats.recent_octets, now_us)
        if leg.paused or not room:
            return
        admitted = repair.admit(held, now_us, self._rtt_us(transport, now_us))
        if not admitted:
            return
        sent = self._path.retransmit(leg.number, admitted, room)
        repair.spend(sent.octets, now_us)
        self._counters["nacks_answered"] += sent.packets

    def reported(self, transport: int, block: rtcp.ReportBlock, now_us: int) -> None:
        """A receiver's report about a leg."""
        leg = self._streams.leg_by_ssrc(transport, block.ssrc)
        if leg is None or leg.kind != "video" or leg.source is None or leg.paused:
            return
        if block.fraction_lost - self._upstream(leg.source.track) < rtcp.LOSSY:
            return
        if self._repair(leg).reports_loss(now_us):
            self._strained(leg, now_us)

    def picture_lost(self, transport: int, ssrc: int, now_us: int) -> None:
        leg = self._streams.leg_by_ssrc(transport, ssrc)
        if leg is None or leg.source is None or leg.paused:
            return
        self._counters["plis_received"] += 1
        if self._repair(leg).may_wish(now_us):
            self._wish(leg.source.track)

    def resume(self, now_us: int) -> None:
        """Try pictures again that are due. To be called often."""
        for transport, link in list(self._links.items()):
            with self._guard.over("resume", transport=transport):
                self._resume(link, now_us)

    def forget_gone(self) -> None:
        for number in [n for n in self._legs if self._streams.leg(n) is None]:
            del self._legs[number]
            for link in self._links.values():
                link.forget(number)

    def transport_closed(self, transport: int) -> None:
        self._links.pop(transport, None)

    def leftovers(self) -> int:
        return len(self._legs) + len(self._links)

    # inside

    def _repair(self, leg: Leg) -> Repair:
        found = self._legs.get(leg.number)
        if found is None:
            found = self._legs[leg.number] = Repair()
        return found

    def _strained(self, leg: Leg, now_us: int) -> None:
        """Its link carries less than what is sent over it."""
        members = self._streams.members(leg.transport)
        if leg.kind != "video" or members is None:
            return
        link = self._links.setdefault(leg.transport, Link())
        if not link.settled(now_us):
            return
        costs = {
            other.number: self._path.send_stats(other.number).recent_octets
            for other in members.legs
            if other.kind == "video" and other.source is not None and not other.paused
        }
        number = link.strain(costs, now_us)
        chosen = self._streams.leg(number) if number is not None else None
        if chosen is None:
            return
        self._counters["legs_paused"] += 1
        for other in members.legs:
            if other.number in self._legs:
                self._legs[other.number].start_over()
        self._streams.pause(chosen, paused=True, now_us=now_us)

    def _resume(self, link: Link, now_us: int) -> None:
        while (number := link.due(now_us)) is not None:
            leg = self._streams.leg(number)
            if leg is None:
                link.forget(number)
                continue
            self._counters["legs_resumed"] += 1
            self._repair(leg).start_over()
            self._streams.pause(leg, paused=False, now_us=now_us)
