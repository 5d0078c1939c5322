"""A packet path that only remembers what it was asked for, for tests of those who ask."""

from __future__ import annotations

from itertools import count

from pylibsrtp import Session as SrtpSession

from sfu.path import reports
from sfu.path.interface import (
    Echo,
    Inbound,
    LegSpec,
    Levels,
    PacketPath,
    ReceiveStats,
    Repaired,
    SendStats,
    Source,
    SrtpKeys,
    TrackSpec,
)
from sfu.wire.address import Address


class StubPath(PacketPath):
    """Figures are set by the test; numbers are given out from 1."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Address]] = []
        self.rtcp: list[tuple[int, bytes]] = []
        self.retransmitted: list[tuple[int, list[int]]] = []
        self.sources: dict[int, Source | None] = {}
        self.muted: dict[int, bool] = {}
        self.tracks: dict[int, TrackSpec] = {}
        self.legs: dict[int, LegSpec] = {}
        self.accepted: set[Address] = set()
        self.selected: dict[int, Address] = {}
        self.heard_us = 0
        self.heard_from: dict[Address, int] = {}
        self.answered_checks: set[bytes] = set()
        self.closed: list[int] = []
        self.holes: list[tuple[int, list[int]]] = []
        self.arrived: dict[int, list[tuple[int, int]]] = {}
        self.waiting: list[int] = []
        self.checks: dict[int, tuple[str, str]] = {}
        self.echoes: dict[int, Echo] = {}
        self.received: dict[int, ReceiveStats] = {}
        self.sending: dict[int, SendStats] = {}
        self.retransmissions: dict[int, int] = {}
        self._numbers = count(1)

    def fileno(self) -> int:
        raise NotImplementedError

    def drain(self, now_us: int) -> Inbound:
        return Inbound()

    def send(self, data: bytes, address: Address) -> None:
        self.sent.append((data, address))

    def open_transport(
        self,
        receive: SrtpSession,
        send: SrtpSession,
        address: Address,
        keys: SrtpKeys | None = None,
    ) -> int:
        return next(self._numbers)

    def accept(self, transport: int, address: Address) -> None:
        self.accepted.add(address)

    def forget(self, address: Address) -> None:
        self.accepted.discard(address)

    def select(self, transport: int, address: Address) -> None:
        self.selected[transport] = address

    def answer_checks(self, transport: int, ufrag: str, password: str) -> None:
        self.checks[transport] = ufrag, password

    def answered(self, transport: int, transaction: bytes) -> bool:
        return transaction in self.answered_checks

    def nominated_us(self, transport: int) -> int:
        return 0

    def heard_from_us(self, transport: int, address: Address) -> int:
        return self.heard_from.get(address, 0)

    def last_received_us(self, transport: int) -> int:
        return self.heard_us

    def close_transport(self, transport: int) -> None:
        self.closed.append(transport)
        self.tracks = {n: s for n, s in self.tracks.items() if s.transport != transport}
        self.legs = {n: s for n, s in self.legs.items() if s.transport != transport}

    def add_track(self, spec: TrackSpec) -> int:
        number = next(self._numbers)
        self.tracks[number] = spec
        return number

    def mute_track(self, track: int, muted: bool) -> None:
        self.muted[track] = muted

    def remove_track(self, track: int) -> None:
        del self.tracks[track]

    def set_rtx(self, track: int, ssrc: int) -> None:
        self.retransmissions[track] = ssrc

    def add_leg(self, spec: LegSpec) -> int:
        number = next(self._numbers)
        self.legs[number] = spec
        return number

    def set_source(self, leg: int, source: Source | None, now_us: int) -> None:
        assert leg in self.legs
        self.sources[leg] = source

    def remove_leg(self, leg: int) -> None:
        del self.legs[leg]

    def send_rtcp(self, transport: int, compound: bytes) -> None:
        self.rtcp.append((transport, compound))

    def send_reports(self, transport: int, cname: str, now_us: int, now_ntp: int) -> int:
        senders = [
            reports.sender_report(spec.ssrc, self.sending[number], now_us, now_ntp)
            for number, spec in self.legs.items()
            if spec.transport == transport
        ]
        packets = reports.sender_compounds(cname, [sender for sender in senders if sender])
        self.rtcp += [(transport, packet) for packet in packets]
        return len(packets)

    def echo(self, transport: int) -> Echo | None:
        return self.echoes.get(transport)

    def held(self, leg: int, sequences: list[int]) -> list[int]:
        return sequences

    def retransmit(self, leg: int, sequences: list[int], most_octets: int) -> Repaired:
        """Each packet has a thousand octets."""
        sent = sequences[: most_octets // 1_000]
        self.retransmitted.append((leg, sent))
        return Repaired(len(sent), 1_000 * len(sent))

    def missing(self) -> list[tuple[int, list[int]]]:
        return self.holes

    def arrivals(self, transport: int) -> list[tuple[int, int]]:
        return self.arrived.pop(transport, [])

    def waiting_for_keyframe(self) -> list[int]:
        return self.waiting

    def receive_stats(self, track: int) -> ReceiveStats:
        return self.received[track]

    def send_stats(self, leg: int) -> SendStats:
        return self.sending[leg]

    def levels(self) -> list[Levels]:
        return []

    def media_in(self) -> int:
        return 0

    def counters(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        return
