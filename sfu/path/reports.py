"""Sender and receiver reports (RFC 3550 section 6.4) from the packet path's figures. Pure: times come in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from sfu.path.interface import ReceiveStats, SendStats
from sfu.wire import rtcp

LEGS_PER_PACKET = 12
"""A report and a name for each: together below the 1,200 bytes that every path carries."""

SENDING_US = 2_000_000
"""A leg that has sent nothing for so long is no sender (RFC 3550 section 6.4: two report intervals)."""

T = TypeVar("T")

_NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970."""


def ntp(unix_time: float) -> int:
    """A 64-bit NTP timestamp."""
    return int((unix_time + _NTP_EPOCH) * (1 << 32))


class Reception(msgspec.Struct):
    """What the next report block about a track is measured against."""

    expected: int = 0
    received: int = 0
    fraction_lost: int = 0
    """What the last block said."""
    sr_middle: int = 0
    """The middle 32 bits of the publisher's last sender report; 0 before the first."""
    sr_arrived_us: int = 0

    def sender_reported(self, report: rtcp.SenderReport, now_us: int) -> None:
        self.sr_middle = report.ntp >> 16 & 0xFFFFFFFF
        self.sr_arrived_us = now_us

    def heard_more(self, stats: ReceiveStats) -> bool:
        """Whether packets have come since the last report: only then is there a block (RFC 3550 section 6.4.1)."""
        return (self.expected, self.received) != (stats.expected, stats.expected - stats.lost)

    def block(self, ssrc: int, stats: ReceiveStats, now_us: int) -> rtcp.ReportBlock:
        """The report since the last one."""
        received = stats.expected - stats.lost
        self.fraction_lost = rtcp.fraction_lost(
            stats.expected - self.expected, received - self.received
        )
        self.expected, self.received = stats.expected, received
        delay = (now_us - self.sr_arrived_us) * 65536 // 1_000_000 if self.sr_middle else 0
        return rtcp.ReportBlock(
            ssrc=ssrc,
            fraction_lost=self.fraction_lost,
            lost=stats.lost,
            highest_sequence=stats.highest_sequence & 0xFFFFFFFF,
            jitter=stats.jitter,
            last_sr=self.sr_middle,
            delay=delay,
        )


def sender_report(
    ssrc: int, stats: SendStats, now_us: int, now_ntp: int
) -> rtcp.SenderReport | None:
    """None for a leg that is not sending."""
    since_us = max(0, now_us - stats.last_sent_us)
    if not stats.packets or since_us > SENDING_US:
        return None
    passed = since_us * stats.clock_rate // 1_000_000
    return rtcp.SenderReport(
        ssrc=ssrc,
        ntp=now_ntp,
        timestamp=(stats.last_timestamp + passed) & 0xFFFFFFFF,
        packets=stats.packets,
        octets=stats.octets,
    )


def sender_compounds(cname: str, senders: Sequence[rtcp.SenderReport]) -> list[bytes]:
    """Each begins with a report, and names its sources (RFC 3550 section 6.1)."""
    return [
        rtcp.build([*group, _names(cname, [report.ssrc for report in group])])
        for group in _groups(senders, LEGS_PER_PACKET)
    ]


def receiver_compounds(
    own_ssrc: int, cname: str, blocks: Sequence[rtcp.ReportBlock]
) -> list[bytes]:
    """The same of what came."""
    return [
        rtcp.build(
            [
                rtcp.ReceiverReport(ssrc=own_ssrc, reports=list(some)),
                _names(cname, [own_ssrc]),
            ]
        )
        for some in _groups(blocks, rtcp.MAX_ITEMS)
    ]


def head(own_ssrc: int, cname: str) -> list[rtcp.Rtcp]:
    """What goes in front of feedback in a compound that has no report to make (RFC 4585 section 3.1)."""
    return [rtcp.ReceiverReport(ssrc=own_ssrc), _names(cname, [own_ssrc])]


def _names(cname: str, ssrcs: list[int]) -> rtcp.SourceDescription:
    return rtcp.SourceDescription(cnames=dict.fromkeys(ssrcs, cname))


def _groups(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
