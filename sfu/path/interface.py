"""The packet path's interface: what Python asks of it, whichever implementation runs.

Two implementations: pure Python (`sfu/path/python`) and the compiled twin (`sfu/native`).
The path owns the UDP socket, SRTP, the packet caches and every rewrite. It holds no policy: who hears
whom, when to ask for a keyframe and when to ask again for a lost packet is decided by its callers.
Transports, tracks and legs are small integers that the path gives out; a number is not given out again
while anything still refers to it. Closing or removing one that is gone already does nothing; anything else
with a number that is not known raises KeyError. All times are microseconds of one monotonic clock, passed
in. A path has no clock and no chance of its own: same datagrams and calls, same bytes out.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec
from pylibsrtp import Session as SrtpSession

from sfu.wire.address import Address

Kind = Literal["audio", "video"]


class Codec(msgspec.Struct, frozen=True, kw_only=True):
    """What a payload type carries. `rtx` is the payload type of its retransmissions (RFC 4588)."""

    name: str
    clock_rate: int
    rtx: int | None = None


class TrackSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A published stream. `codecs` maps the publisher's payload types; extension ids are 0 when not negotiated."""

    transport: int
    kind: Kind
    ssrc: int
    codecs: dict[int, Codec]
    rtx_ssrc: int | None = None
    audio_level_id: int = 0
    transport_cc_id: int = 0
    mid_id: int = 0


class LegSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A viewer's stream. `rtx` maps the viewer's media payload types to its retransmission ones.

    `first_sequence` starts both streams; in the lower half of its range, since SRTP infers the rollover
    counter and a first packet lost near 65535 would put it off by one (RFC 3711 section 3.3.1).
    """

    transport: int
    kind: Kind
    ssrc: int
    rtx_ssrc: int | None = None
    rtx: dict[int, int] = msgspec.field(default_factory=dict)
    first_sequence: int = 1


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What feeds a leg: a track, with its payload types and header-extension ids as this viewer knows them.

    A payload type without an entry is not forwarded; an extension element without one is blanked
    (padding, RFC 8285 section 4.2), so that no packet changes its length. Transport-wide numbers are
    blanked always. Values are passed as they are: don't map what speaks of the publisher's own link
    (abs-send-time), nor its MID and RID.
    """

    track: int
    payload_types: dict[int, int]
    extensions: dict[int, int] = msgspec.field(default_factory=dict)


class SrtpKeys(msgspec.Struct, frozen=True):
    """The master key and salt of one direction, of AES-GCM (RFC 7714): 16 or 32, and 12 bytes."""

    key: bytes
    salt: bytes


class Datagram(msgspec.Struct, frozen=True):
    """STUN (first byte 0..3) or DTLS (20..63), RFC 7983; RTCP is opened and comes separately."""

    data: bytes
    address: Address


class Echo(msgspec.Struct, frozen=True):
    """What a client last said about a sender report of ours (RFC 3550 section 6.4.1), and when that came.

    `last_sr` is never 0: before the first report of ours there is nothing to echo. `delay` is in 1/65536 s.
    """

    last_sr: int
    delay: int
    arrived_us: int


class UnknownStream(msgspec.Struct, frozen=True):
    """RTP that no track claims. `mid` is what it says of its m-line (RFC 9143 section 15), empty if nothing."""

    transport: int
    ssrc: int
    payload_type: int
    mid: str = ""


class Inbound(msgspec.Struct):
    """What one drain leaves for Python. Lists are empty in the common case."""

    stun: list[Datagram] = msgspec.field(default_factory=list)
    dtls: list[Datagram] = msgspec.field(default_factory=list)
    rtcp: list[tuple[int, bytes]] = msgspec.field(default_factory=list)
    """(transport, opened compound packet). Of receiver reports and names alone nothing is told (see `echo`), unless
    a report tells of much loss: `sfu.wire.rtcp.LOSSY`."""
    unknown: list[UnknownStream] = msgspec.field(default_factory=list)
    """Told at most once per SSRC and second."""
    started: list[int] = msgspec.field(default_factory=list)
    """Tracks whose first packet just arrived."""
    keyframes: list[int] = msgspec.field(default_factory=list)
    """Video tracks on which a keyframe began."""


class ReceiveStats(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 3550 section 6.4.1 figures of a track since it was added. `jitter` is in clock units."""

    packets: int
    octets: int
    highest_sequence: int
    """Extended: cycles in the upper 16 bits."""
    expected: int
    lost: int
    jitter: int
    keyframes: int
    rtx_recovered: int


class SendStats(msgspec.Struct, frozen=True, kw_only=True):
    """Of a leg. `last_timestamp` and `last_sent_us` pair the RTP and the wall clock for a sender report."""

    packets: int
    octets: int
    last_timestamp: int
    last_sent_us: int
    clock_rate: int
    retransmitted: int
    missed: int
    """Packets asked for that the cache no longer held."""
    recent_octets: int
    """About so many were sent in the last second; those sent again are not among them."""


class Repaired(msgspec.Struct, frozen=True):
    """What was sent again: so many packets, of so many octets with their headers."""

    packets: int
    octets: int


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """Audio levels (RFC 6464, -dBov: 0 loudest, 127 silent) of one track since the last look.

    Of packets without a level only the payloads' sizes are known: `bare` of them, `bare_octets` together.
    """

    track: int
    count: int
    total: int
    loudest: int
    bare: int = 0
    bare_octets: int = 0


class PacketPath(Protocol):
    """One UDP socket and everything that passes through it."""

    def fileno(self) -> int: ...

    def drain(self, now_us: int) -> Inbound:
        """Read the socket, forward what is media, return what is for Python.

        Bounded: with more than a few hundred datagrams waiting it returns, and the socket stays readable.
        Never raises, whatever the datagrams contain.
        """
        ...

    def send(self, data: bytes, address: Address) -> None:
        """STUN or DTLS out; dropped and counted when the socket is full. ValueError: no numeric address."""
        ...

    # transports: one SRTP association with one remote
    def open_transport(
        self,
        receive: SrtpSession,
        send: SrtpSession,
        address: Address,
        keys: SrtpKeys | None = None,
    ) -> int:
        """Sessions for any inbound and any outbound SSRC; ValueError: no numeric address.

        With `keys`, those that `send` was made of, a path may seal RTP without it, to the same bytes.

        `send` must have `allow_repeat_tx`, and a `window_size` of 1024 or more: retransmission without an RTX
        stream sends old indices again, and libsrtp refuses those that leave its window (`sequence.REACH`).
        """
        ...

    def accept(self, transport: int, address: Address) -> None:
        """Datagrams from this address belong to the transport too (a checked ICE pair)."""
        ...

    def forget(self, address: Address) -> None: ...

    def select(self, transport: int, address: Address) -> None:
        """Send to this address from now on (the nominated ICE pair)."""
        ...

    def answer_checks(self, transport: int, ufrag: str, password: str) -> None:
        """Answer authentic checks under these credentials of ours from where the transport sends to (RFC 7675).

        Nothing is told of them: they change nothing. All others are told, a client's that takes itself for the
        controlled side among them, and one with an attribute that would have to be understood. Without a fragment
        all are.
        """
        ...

    def answered(self, transport: int, transaction: bytes) -> bool:
        """Whether a check with this transaction id is among the last few dozen that were answered for it."""
        ...

    def nominated_us(self, transport: int) -> int:
        """When a check that nominates its pair was last answered for the first time; 0 if never."""
        ...

    def heard_from_us(self, transport: int, address: Address) -> int:
        """As `last_received_us`, of what came from this address; 0 for one that is not the transport's."""
        ...

    def last_received_us(self, transport: int) -> int:
        """When an authentic SRTP or SRTCP packet last came, or a check was answered for the first time; 0 if never."""
        ...

    def close_transport(self, transport: int) -> None:
        """Closes its tracks and legs too."""
        ...

    # tracks: what a publisher sends
    def add_track(self, spec: TrackSpec) -> int:
        """ValueError: one of its SSRCs is a track of this transport already."""
        ...

    def mute_track(self, track: int, muted: bool) -> None:
        """Muted, its packets are received and counted and go nowhere."""
        ...

    def remove_track(self, track: int) -> None:
        """Legs that it fed are left without a source."""
        ...

    def set_rtx(self, track: int, ssrc: int) -> None:
        """The track's retransmissions come under this SSRC from now on. ValueError: it is of a track already."""
        ...

    # legs: what a viewer receives
    def add_leg(self, spec: LegSpec) -> int:
        """ValueError: one of its SSRCs was sent on this transport before, even by a leg long removed.

        Its numbers would begin anew under the same keys, and SRTP would use its key stream twice.
        """
        ...

    def set_source(self, leg: int, source: Source | None, now_us: int) -> None:
        """Feed the leg from another track. Sequence, timestamp and VP8 picture ids stay continuous.

        Video changes at the new track's next keyframe; until then the old one goes on. Audio changes at
        once. None pauses the leg. The same track under another mapping goes on without a keyframe.
        ValueError: the track is of the other kind.
        """
        ...

    def remove_leg(self, leg: int) -> None: ...

    # RTCP and repair
    def send_rtcp(self, transport: int, compound: bytes) -> None: ...

    def send_reports(self, transport: int, cname: str, now_us: int, now_ntp: int) -> int:
        """Sender reports of the legs that are sending, with their name; in how many packets.

        `now_ntp` is 64-bit NTP time. What is in them, and which legs are sending, is in `sfu.path.reports`.
        """
        ...

    def echo(self, transport: int) -> Echo | None:
        """The last one of its receiver's reports; None before there is one."""
        ...

    def held(self, leg: int, sequences: list[int]) -> list[int]:
        """What of this could be sent again: it was sent once, not long ago."""
        ...

    def retransmit(self, leg: int, sequences: list[int], most_octets: int) -> Repaired:
        """Send again what the viewer names (its own sequence numbers) and the cache still holds.

        In their order, up to the first one that there is no room for in `most_octets`.
        """
        ...

    def missing(self) -> list[tuple[int, list[int]]]:
        """(track, sequence numbers not yet arrived) for unmuted tracks with holes younger than a second."""
        ...

    def arrivals(self, transport: int) -> list[tuple[int, int]]:
        """(transport-wide sequence, arrival in µs) since the last call, in order of arrival."""
        ...

    def waiting_for_keyframe(self) -> list[int]:
        """Unmuted video tracks of which a leg needs a keyframe: to begin, or to mend a frame cut short."""
        ...

    # figures
    def receive_stats(self, track: int) -> ReceiveStats: ...

    def send_stats(self, leg: int) -> SendStats: ...

    def levels(self) -> list[Levels]:
        """Audio tracks that got packets since the last call."""
        ...

    def media_in(self) -> int:
        """Authentic RTP packets so far, as `counters` has them under `in_rtp`, for who asks often."""
        ...

    def counters(self) -> dict[str, int]:
        """Packets and bytes in and out, drops by reason, forwarding-time histogram; names in `sfu.path.counters`."""
        ...

    def close(self) -> None: ...
