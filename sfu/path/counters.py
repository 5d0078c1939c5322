"""What the packet path counts. One flat set of numbers, the same in both implementations."""

from __future__ import annotations

import msgspec

FORWARD_BOUNDS_US = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
"""What Prometheus gets, cumulative."""

_FINEST_US = 100
_A_DECADE = _FINEST_US - 10
_LONGEST_US = 10_000_000


class Counters(msgspec.Struct, gc=False):
    """Totals since the path was opened. Every datagram received is counted under one `in_` or `drop_` name."""

    datagrams_in: int = 0
    bytes_in: int = 0
    datagrams_out: int = 0
    bytes_out: int = 0

    in_stun: int = 0
    in_dtls: int = 0
    in_rtp: int = 0
    """Authentic RTP, also what is then dropped below for what it carries."""
    in_rtcp: int = 0

    drop_not_media: int = 0
    """Empty, too short, or a first byte that RFC 7983 gives to nobody here."""
    drop_oversize: int = 0
    drop_unknown_address: int = 0
    drop_unauthentic: int = 0
    drop_replayed: int = 0
    drop_malformed: int = 0
    drop_unknown_ssrc: int = 0
    drop_unknown_payload_type: int = 0
    drop_duplicate: int = 0
    drop_late: int = 0
    drop_probe: int = 0
    drop_muted: int = 0

    forwarded: int = 0
    rtx_recovered: int = 0
    retransmitted: int = 0
    retransmit_missed: int = 0

    send_full_video: int = 0
    """Video packets given up because the socket was full, up to the end of their frames."""
    send_full_audio: int = 0
    """Audio packets that waited for the socket and were given up."""
    send_full_control: int = 0
    send_retried_audio: int = 0
    send_failed: int = 0
    """The kernel refused the address, or the packet could not be protected."""
    receive_failed: int = 0

    forward_us_count: int = 0
    forward_us_sum: int = 0
    forward_us_le_50: int = 0
    forward_us_le_100: int = 0
    forward_us_le_200: int = 0
    forward_us_le_500: int = 0
    forward_us_le_1000: int = 0
    forward_us_le_2000: int = 0
    forward_us_le_5000: int = 0
    forward_us_le_10000: int = 0
    forward_us_le_20000: int = 0


class ForwardTime:
    """From the kernel's having received a packet to its last copy's having left, as a histogram.

    1 to 100 µs singly, then ninety buckets to every power of ten: bounds have two significant digits.
    """

    __slots__ = ("_count", "_sum", "_within")

    def __init__(self) -> None:
        self._within = [0] * (_bucket(_LONGEST_US) + 1)
        self._count = self._sum = 0

    def add(self, nanoseconds: int) -> None:
        """Rounded up to microseconds. The wall clock may have been set back meanwhile: that is no time, then."""
        microseconds = max(0, -(-nanoseconds // 1_000))
        self._within[_bucket(microseconds)] += 1
        self._count += 1
        self._sum += microseconds

    def write(self, counters: Counters) -> None:
        counters.forward_us_count, counters.forward_us_sum = self._count, self._sum
        for bound in FORWARD_BOUNDS_US:
            within = sum(self._within[: _bucket(bound) + 1])
            setattr(counters, f"forward_us_le_{bound}", within)

    def fine(self) -> dict[str, int]:
        """How many packets took up to `forward_us_in_N` microseconds and more than the bucket before it."""
        return {
            f"forward_us_in_{_bound_us(bucket)}": count
            for bucket, count in enumerate(self._within)
            if count
        }


def _bucket(microseconds: int) -> int:
    below, first = min(max(microseconds, 1), _LONGEST_US) - 1, 0
    while below >= _FINEST_US:
        below //= 10
        first += _A_DECADE
    return first + below


def _bound_us(bucket: int) -> int:
    """The longest time that belongs into a bucket."""
    scale = 1
    while bucket >= _FINEST_US:
        bucket -= _A_DECADE
        scale *= 10
    return (bucket + 1) * scale
