"""A random call that both packet paths get: what publishers send and viewers ask, sense and nonsense.

All chance comes from one seed, so that a difference can be had again.
"""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable
from contextlib import suppress

import msgspec
from native_twins import Client, Raised, Twins
from path_rig import rtp, vp8

from sfu.path.interface import Codec, Kind, LegSpec, PacketPath, Source, TrackSpec
from sfu.wire import rtx

VIDEO = {
    96: Codec(name="VP8", clock_rate=90_000, rtx=97),
    98: Codec(name="VP9", clock_rate=90_000, rtx=99),
    102: Codec(name="H264", clock_rate=90_000, rtx=103),
    104: Codec(name="AV1", clock_rate=90_000),
}
AUDIO = {111: Codec(name="opus", clock_rate=48_000), 63: Codec(name="red", clock_rate=48_000)}
LEVEL, TRANSPORT_CC, MID, OTHER = 1, 3, 5, 6


class Stream(msgspec.Struct):
    """A publisher's, with counters that begin where they wrap."""

    client: Client
    track: int
    kind: Kind
    ssrc: int
    payload_type: int
    number: int
    timestamp: int
    picture: int
    transport_wide: int
    rtx_ssrc: int
    rtx_number: int = 1


class Leg(msgspec.Struct):
    client: int
    leg: int
    kind: Kind
    first: int


class Call:
    """A random call among a few people over bad networks, one of whom is malicious."""

    def __init__(self, twins: Twins, seed: int, *, choking: bool = True) -> None:
        self.twins, self.chance = twins, random.Random(seed)
        self.streams: list[Stream] = []
        self.legs: list[Leg] = []
        self.sent = 0
        self._late: list[tuple[Client, bytes]] = []
        self._ssrc = itertools.count(10_000, 10)
        for _ in range(5):
            twins.client()
        for kind in ("video", "video", "audio", "audio"):
            self._publish(kind)
        for _ in range(6):
            self._add_leg()
        self._steps: list[tuple[Callable[[], None], int]] = [
            (self._send, 100),
            (self._change_source, 5),
            (self._ask_again, 5),
            (self._look, 2),
            (self._mute, 2),
            (self._nonsense, 6),
            (self._add_leg, 2),
            (self._remove_leg, 2),
            (self._republish, 1),
            (self._rename_retransmissions, 1),
            (self._let_time_pass, 1),
            (self._choke, 1 if choking else 0),
            (self._wander, 1),
            (self._rejoin, 1),
        ]

    def play(self, packets: int) -> None:
        steps, weights = zip(*self._steps, strict=True)
        while self.sent < packets:
            for step in self.chance.choices(steps, weights, k=50):
                step()
        self.twins.choke(-1)
        self.twins.drain()
        self._look()

    # --- the publishers ---------------------------------------------------------------------

    def _publish(self, kind: Kind) -> None:
        chance, client = self.chance, self.chance.choice(self.twins.clients[:3])
        ssrc = next(self._ssrc)
        spec = TrackSpec(
            transport=client.transport,
            kind=kind,
            ssrc=ssrc,
            codecs=VIDEO if kind == "video" else AUDIO,
            rtx_ssrc=ssrc + 1 if kind == "video" else None,
            audio_level_id=LEVEL if kind == "audio" else 0,
            transport_cc_id=TRANSPORT_CC,
            mid_id=chance.choice([0, MID]),
        )
        self.streams.append(
            Stream(
                client=client,
                track=self.twins.same(lambda path: path.add_track(spec)),
                kind=kind,
                ssrc=ssrc,
                payload_type=96 if kind == "video" else 111,
                number=chance.randrange(0xFE00, 0xFFFF),
                timestamp=chance.randrange(2**32 - 100_000, 2**32),
                picture=chance.randrange(0x7000, 0x8000),
                transport_wide=chance.randrange(0xFFFF),
                rtx_ssrc=ssrc + 1,
            )
        )

    def _republish(self) -> None:
        gone = self.streams.pop(self.chance.randrange(len(self.streams)))
        self.twins.same(lambda path: path.remove_track(gone.track))
        self._publish(gone.kind)

    def _rename_retransmissions(self) -> None:
        stream, chance = self.chance.choice(self.streams), self.chance
        ssrc = chance.choice([stream.rtx_ssrc, 900_000 + chance.randrange(60), next(self._ssrc)])
        with suppress(Raised):  # it may be of another track
            self.twins.same(lambda path: path.set_rtx(stream.track, ssrc))
            stream.rtx_ssrc = ssrc

    def _send(self) -> None:
        chance = self.chance
        for stream in chance.choices(self.streams, k=chance.randrange(1, 4)):
            for packet in self._frame(stream):
                self._carry(stream, packet)
        self.twins.drain(chance.randrange(1, 12_000))

    def _frame(self, stream: Stream) -> list[bytes]:
        chance = self.chance
        if chance.random() < 0.02 and stream.kind == "video":
            stream.payload_type = chance.choice([*VIDEO, 77])
        if chance.random() < 0.003:
            stream.number += chance.choice([200, 600, 3_000, 30_000])  # an outage
        stream.timestamp += 3_000 if stream.kind == "video" else 960
        stream.picture += 1
        count = 1 if stream.kind == "audio" else chance.randrange(1, 7)
        size = chance.randrange(1, 300)
        return [self._packet(stream, place, count, size) for place in range(count)]

    def _packet(self, stream: Stream, place: int, count: int, size: int) -> bytes:
        chance = self.chance
        stream.number += 1
        stream.transport_wide += 1
        last = place == count - 1
        body = chance.randbytes(size if not last else chance.randrange(size + 1))
        if stream.payload_type == 96 and chance.random() < 0.97:
            keyframe = chance.random() < 0.1
            body = vp8(
                stream.picture,
                stream.picture >> 2,
                keyframe=keyframe,
                start=not place,
                body=body,
                short=chance.random() < 0.05,
            )
        if chance.random() < 0.03:
            body = b""
        profile, elements = self._elements(stream)
        return rtp(
            stream.number,
            stream.timestamp,
            stream.ssrc,
            body,
            payload_type=stream.payload_type,
            marker=last,
            elements=elements,
            profile=profile,
            padding=chance.randrange(1, 200) if not body or chance.random() < 0.05 else 0,
            csrcs=(1, 2) if chance.random() < 0.05 else (),
        )

    def _elements(self, stream: Stream) -> tuple[int, bytes | None]:
        chance, number = self.chance, struct.pack("!H", stream.transport_wide & 0xFFFF)
        shape = chance.random()
        if shape < 0.8:
            level = bytes([LEVEL << 4, chance.randrange(256)])
            other = bytes([OTHER << 4 | 2]) + chance.randbytes(3)
            return 0xBEDE, level + bytes([TRANSPORT_CC << 4 | 1]) + number + other
        if shape < 0.9:
            level = bytes([LEVEL, 1, chance.randrange(256)])
            return 0x1000, level + bytes([TRANSPORT_CC, 2]) + number + bytes([OTHER, 0, 200, 1, 9])
        if shape < 0.95:
            return chance.choice([0xBEDE, 0x1000, 0x4321]), chance.randbytes(chance.randrange(24))
        return 0, None

    def _carry(self, stream: Stream, packet: bytes) -> None:
        """Through a network that loses, delays and doubles. What was lost may come again by RTX."""
        chance, client = self.chance, stream.client
        self.sent += 1
        sealed = client.protects.protect(packet)
        fate = chance.random()
        if fate < 0.04:
            if stream.kind == "video" and chance.random() < 0.6:
                self._late.append((client, client.protects.protect(self._again(stream, packet))))
        elif fate < 0.07:
            self._late.append((client, sealed))
        else:
            client.send(sealed)
            if fate < 0.09:
                client.send(sealed)
            elif fate < 0.11 and stream.kind == "video":
                client.send(client.protects.protect(self._again(stream, packet)))
        if self._late and chance.random() < 0.2:
            late_client, late = self._late.pop(chance.randrange(len(self._late)))
            late_client.send(late)

    def _again(self, stream: Stream, packet: bytes) -> bytes:
        stream.rtx_number += 1
        payload_at = 12 + 4 * (packet[0] & 0x0F)
        if packet[0] & 0x10:
            payload_at += 4 + 4 * int.from_bytes(packet[payload_at + 2 : payload_at + 4], "big")
        payload_type = self.chance.choice([97, 97, 97, 99, 103, 50])
        return rtx.wrap(packet, payload_at, payload_type, stream.rtx_ssrc, stream.rtx_number)

    def _nonsense(self) -> None:
        """What a broken or a hostile sender brings."""
        chance, stream = self.chance, self.chance.choice(self.streams)
        client = stream.client
        for _ in range(chance.randrange(1, 5)):
            kind = chance.randrange(8)
            if kind == 7:
                client.send_from_elsewhere(rtp(1, 1, stream.ssrc))
            elif kind == 0:
                client.send(chance.randbytes(chance.randrange(60)))
            elif kind == 1:
                client.send(bytes([chance.choice([0, 1, 22, 63, 128, 144])]) + chance.randbytes(40))
            elif kind == 2:  # an SSRC that no track claims
                name = chance.choice([b"", bytes([MID << 4 | 2]) + b"cam", bytes([MID << 4, 0xFF])])
                packet = rtp(
                    chance.randrange(99), 0, 900_000 + chance.randrange(60), elements=name or None
                )
                client.send(client.protects.protect(packet))
            elif kind == 3:  # authentic, and its lengths lie
                packet = bytearray(rtp(stream.number + 1, 0, stream.ssrc, chance.randbytes(20)))
                stream.number += 1
                packet[0] |= chance.choice([0x20, 0x2F, 0x0F])
                client.send(_protected(client, bytes(packet)))
            elif kind == 4:
                client.send(client.protects.protect_rtcp(self._compound()))
            elif kind == 5:
                client.send(b"\x80" + chance.randbytes(chance.choice([1_500, 2_040, 2_100])))
            else:
                client.send(b"\x80\xc8" + chance.randbytes(30))
        self.twins.drain(1)

    def _compound(self) -> bytes:
        """Reports and names, some of which are none: of other kinds, padded, cut off."""
        chance = self.chance
        compound = struct.pack("!BBHI", 0x80, 201, 1, 700_000 + chance.randrange(80))
        for _ in range(chance.randrange(4)):
            kind, count = chance.choice([200, 201, 201, 202, 203]), chance.randrange(3)
            words = {200: 6 + 6 * count, 201: 1 + 6 * count}.get(kind, chance.randrange(4))
            words += chance.choice([0] * 6 + [-1, 1, 3])
            first = chance.choice([0x80] * 8 + [0xA0, 0x40]) | count
            body = bytes(chance.choice([0, 1, 255]) for _ in range(4 * max(0, words)))
            compound += struct.pack("!BBH", first, kind, max(0, words)) + body
        return compound[: max(8, len(compound) - chance.choice([0] * 6 + [1, 4]))]

    # --- the caller -------------------------------------------------------------------------

    def _let_time_pass(self) -> None:
        self.twins.drain(self.chance.choice([300_000, 1_100_000, 2_500_000]))

    def _choke(self) -> None:
        self.twins.choke(0)
        for _ in range(self.chance.randrange(1, 4)):
            self.chance.choice([self._send, self._send, self._ask_again])()
        self.twins.choke(-1)

    def _wander(self) -> None:
        """A client's packets come from another address for a while, or go there."""
        one, other = self.chance.sample(self.twins.clients, 2)
        number, own = one.transport, one.socket.getsockname()
        self.twins.same(lambda path: path.select(number, other.socket.getsockname()))
        self._send()
        self.twins.same(lambda path: path.forget(own))
        self._send()
        self.twins.same(lambda path: path.accept(number, own))
        self.twins.same(lambda path: path.select(number, own))

    def _rejoin(self) -> None:
        """Somebody leaves, with tracks and legs, and comes back with new keys."""
        chance = self.chance
        if chance.random() < 0.7:
            return
        place = chance.randrange(len(self.twins.clients))
        gone = self.twins.clients[place]
        self.twins.same(lambda path: path.close_transport(gone.transport))
        gone.join()
        self.legs = [leg for leg in self.legs if leg.client != place]
        lost = [stream for stream in self.streams if stream.client is gone]
        self.streams = [stream for stream in self.streams if stream.client is not gone]
        for stream in lost:
            self._publish(stream.kind)
        while len(self.legs) < 4:
            self._add_leg()

    def _add_leg(self) -> None:
        chance = self.chance
        if len(self.legs) > 12:
            return
        kind: Kind = chance.choice(["video", "video", "audio"])
        client, ssrc = chance.randrange(len(self.twins.clients)), next(self._ssrc)
        first = chance.choice([chance.randrange(0x8000), 0x7FF0])
        spec = LegSpec(
            transport=self.twins.clients[client].transport,
            kind=kind,
            ssrc=ssrc,
            rtx_ssrc=ssrc + 1 if chance.random() < 0.6 else None,
            rtx={120: 121},
            first_sequence=first,
        )
        leg = self.twins.same(lambda path: path.add_leg(spec))
        self.legs.append(Leg(client, leg, kind, first))
        self._feed(self.legs[-1])

    def _remove_leg(self) -> None:
        if len(self.legs) > 3:
            gone = self.legs.pop(self.chance.randrange(len(self.legs)))
            self.twins.same(lambda path: path.remove_leg(gone.leg))

    def _change_source(self) -> None:
        leg = self.chance.choice(self.legs)
        if self.chance.random() < 0.2:
            now = self.twins.now_us
            self.twins.same(lambda path: path.set_source(leg.leg, None, now))
        else:
            self._feed(leg)

    def _feed(self, leg: Leg) -> None:
        chance = self.chance
        source = Source(
            track=chance.choice(
                [stream.track for stream in self.streams if stream.kind == leg.kind]
            ),
            payload_types=chance.choice([{96: 120, 98: 98, 102: 102, 104: 104}, {96: 120}])
            if leg.kind == "video"
            else {111: 109},
            extensions=chance.choice(
                [{}, {LEVEL: 4}, {LEVEL: 2, OTHER: 14, TRANSPORT_CC: 5}, {6: 200}]
            ),
        )
        now = self.twins.now_us
        self.twins.same(lambda path: path.set_source(leg.leg, source, now))

    def _mute(self) -> None:
        stream, muted = self.chance.choice(self.streams), self.chance.random() < 0.4
        self.twins.same(lambda path: path.mute_track(stream.track, muted))

    def _ask_again(self) -> None:
        leg, chance = self.chance.choice(self.legs), self.chance
        stats = self.twins.same(lambda path: path.send_stats(leg.leg))
        newest = leg.first + stats.packets
        wanted = [chance.randrange(0x10000)]
        wanted += [newest + chance.randrange(-80, 5) & 0xFFFF for _ in range(6)]
        self.twins.same(lambda path: path.held(leg.leg, wanted))
        room = chance.choice([0, 300, 1_000, 1_000_000])
        self.twins.same(lambda path: path.retransmit(leg.leg, wanted, room))
        self.twins.compare_received()

    def _look(self) -> None:
        twins = self.twins
        twins.same(lambda path: sorted(path.missing()))
        twins.same(lambda path: sorted(path.waiting_for_keyframe()))
        twins.same(lambda path: path.levels())
        for stream in self.streams:
            twins.same(lambda path, track=stream.track: path.receive_stats(track))  # type: ignore[misc]
        for leg in self.legs:
            twins.same(lambda path, leg=leg.leg: path.send_stats(leg))  # type: ignore[misc]
        for client in twins.clients:
            twins.same(lambda path, number=client.transport: path.arrivals(number))  # type: ignore[misc]
            twins.same(lambda path, number=client.transport: path.echo(number))  # type: ignore[misc]
            twins.same(lambda path, number=client.transport: self._report(path, number))  # type: ignore[misc]
            twins.same(lambda path, number=client.transport: path.last_received_us(number))  # type: ignore[misc]
        twins.compare_counters()
        twins.compare_received()

    def _report(self, path: PacketPath, transport: int) -> int:
        now_us = self.twins.now_us
        return path.send_reports(transport, "alice"[: transport % 6], now_us, now_us << 24)


def _protected(client: Client, packet: bytes) -> bytes:
    """Or as it is, where even libsrtp sees that its lengths lie."""
    try:
        sealed: bytes = client.protects.protect(packet)
    except Exception:  # pylibsrtp's own, or for its length
        return packet
    return sealed
