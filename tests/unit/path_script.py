"""A random call, played against a packet path: loss, reorder, duplicates, mute, switches, legs that come and go.

All chance comes from a seed and nothing from the path, so two paths that play the same script must send
the same bytes. What the viewers got is kept by SSRC: between streams a path may choose the order.
"""

from __future__ import annotations

import random
import struct
from collections import defaultdict
from collections.abc import Callable

import msgspec
from path_rig import Remote, Rig, rtp, vp8

from sfu.path.interface import Kind
from sfu.wire import rtx

VIDEO_PAYLOAD_TYPES = {96: 120}
RTX_PAYLOAD_TYPE = 97
LEVEL_ID, TRANSPORT_CC_ID, OTHER_ID = 1, 3, 6


class Network(msgspec.Struct, frozen=True):
    """Shares of packets between publisher and path. With all of them 0 every packet arrives in order."""

    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    recover: float = 0.0
    """Of the lost ones, sent again on the retransmission stream."""


CLEAN = Network()
ROUGH = Network(loss=0.05, reorder=0.03, duplicate=0.03, recover=0.6)


class Publisher:
    """One stream and its counters. The payload ends with the packet's own number, for the checks."""

    def __init__(self, remote: Remote, track: int, kind: Kind, ssrc: int, chance: random.Random):
        self.remote, self.track, self.kind, self.ssrc = remote, track, kind, ssrc
        self.number = chance.randrange(0xFF00, 0xFFFF)
        self.timestamp = chance.randrange(2**32)
        self.picture = chance.randrange(2**15)
        self.rtx_number = 7
        self.transport_wide = 65_000

    def packets(self, chance: random.Random) -> list[bytes]:
        """The next frame, or the next 20 ms of sound; now and then a probe."""
        if chance.random() < 0.04:
            return [self._packet(b"", padding=chance.randrange(1, 255))]
        if self.kind == "audio":
            self.timestamp += 960
            return [self._packet(b"opus")]
        self.timestamp += 3_000
        self.picture += 1
        keyframe, last = chance.random() < 0.15, chance.randrange(4)
        return [
            self._packet(
                vp8(self.picture, self.picture, keyframe=keyframe, start=not index),
                marker=index == last,
            )
            for index in range(last + 1)
        ]

    def _packet(self, payload: bytes, *, marker: bool = False, padding: int = 0) -> bytes:
        self.number += 1
        self.transport_wide += 1
        level = bytes([LEVEL_ID << 4, self.number % 128])
        counter = bytes([TRANSPORT_CC_ID << 4 | 1]) + struct.pack(
            "!H", self.transport_wide & 0xFFFF
        )
        return rtp(
            self.number,
            self.timestamp,
            self.ssrc,
            payload + struct.pack("!I", self.number) if payload else b"",
            payload_type=96 if self.kind == "video" else 111,
            marker=marker,
            elements=level + counter + bytes([OTHER_ID << 4]) + b"x",
            padding=padding,
        )

    def again(self, packet: bytes) -> bytes:
        self.rtx_number += 1
        return rtx.wrap(packet, 24, RTX_PAYLOAD_TYPE, self.ssrc + 1, self.rtx_number)


class Viewing(msgspec.Struct):
    remote: Remote
    leg: int
    kind: Kind
    ssrc: int
    first_sequence: int


class Script:
    def __init__(self, rig: Rig, seed: int, network: Network = ROUGH) -> None:
        self.rig, self.network = rig, network
        self._chance = random.Random(seed)
        self.publishers = [
            self._publisher(kind, 1000 * (index + 1))
            for index, kind in enumerate(("video", "video", "audio", "audio"))
        ]
        self._viewers = [rig.remote() for _ in range(3)]
        self.viewings: list[Viewing] = []
        self.former: list[Viewing] = []
        self.received: dict[tuple[int, int], list[bytes]] = defaultdict(list)
        """(viewer, SSRC) -> datagrams, as they came off the wire."""
        self.told: list[object] = []
        """Everything that the path answered, in order."""
        self.held_up = 0
        """Packets lost, or late so that what they belonged to may have been left before they came."""
        self._late: list[tuple[Remote, bytes]] = []
        self._next_ssrc = 50_000
        for _ in range(4):
            self._add_leg()

    def _publisher(self, kind: Kind, ssrc: int) -> Publisher:
        remote = self.rig.remote()
        track = self.rig.track(
            remote,
            ssrc,
            kind,
            rtx_ssrc=ssrc + 1 if kind == "video" else None,
            audio_level_id=LEVEL_ID if kind == "audio" else 0,
            transport_cc_id=TRANSPORT_CC_ID,
        )
        return Publisher(remote, track, kind, ssrc, self._chance)

    def play(self, packets: int) -> None:
        """At least so many packets of media."""
        steps: list[tuple[Callable[[], None], int]] = [
            (self._publish, 100),
            (self._change_source, 3),
            (self._mute, 2),
            (self._ask_again, 4),
            (self._look, 4),
            (self._add_leg, 1),
            (self._remove_leg, 1),
        ]
        whole = sum(publisher.number for publisher in self.publishers) + packets
        while sum(publisher.number for publisher in self.publishers) < whole:
            (step,) = self._chance.choices([s for s, _ in steps], [w for _, w in steps])
            step()
        for remote, late in self._late:
            remote.send_raw(late)
        self._drain()
        self._look()

    def received_by(self, viewing: Viewing) -> list[bytes]:
        return self.received[self._viewers.index(viewing.remote), viewing.ssrc]

    # --- the network --------------------------------------------------------------------------

    def _publish(self) -> None:
        publisher = self._chance.choice(self.publishers)
        for packet in publisher.packets(self._chance):
            self._carry(publisher, packet)
        self._drain()

    def _carry(self, publisher: Publisher, packet: bytes) -> None:
        """Once protected, a packet that is lost has still used its number."""
        network, remote = self.network, publisher.remote
        sealed = remote.protects.protect(packet)
        fate = self._chance.random()
        if fate < network.loss:
            self.held_up += 1
            if publisher.kind == "video" and self._chance.random() < network.recover:
                self._late.append((remote, remote.protects.protect(publisher.again(packet))))
            return
        if fate < network.loss + network.reorder:
            self.held_up += 1
            self._late.append((remote, sealed))
            return
        remote.send_raw(sealed)
        if self._chance.random() < network.duplicate:
            remote.send_raw(sealed)
        if publisher.kind == "video" and self._chance.random() < network.duplicate:
            remote.send(publisher.again(packet))
        if self._late and self._chance.random() < 0.3:
            late_remote, late = self._late.pop(0)
            late_remote.send_raw(late)

    def _drain(self) -> None:
        inbound = self.rig.drain(self._chance.randrange(1, 12_000))
        self.told.append(msgspec.structs.astuple(inbound))
        for index, viewer in enumerate(self._viewers):
            for data in viewer.receive_raw():
                self.received[index, int.from_bytes(data[8:12], "big")].append(data)

    # --- what the caller does -----------------------------------------------------------------

    def _add_leg(self) -> None:
        kind: Kind = self._chance.choice(["video", "audio"])
        self._next_ssrc += 2
        with_rtx = self._chance.random() < 0.5
        viewer = self._chance.randrange(len(self._viewers))
        first = self._chance.randrange(0x8000)
        leg = self.rig.leg(
            self._viewers[viewer],
            kind,
            ssrc=self._next_ssrc,
            rtx_ssrc=self._next_ssrc + 1 if with_rtx else None,
            rtx={120: 121},
            first_sequence=first,
        )
        self.viewings.append(Viewing(self._viewers[viewer], leg, kind, self._next_ssrc, first))
        self._feed(self.viewings[-1])

    def _remove_leg(self) -> None:
        if len(self.viewings) > 2:
            gone = self.viewings.pop(self._chance.randrange(len(self.viewings)))
            self.told.append(self.rig.path.send_stats(gone.leg))
            self.rig.path.remove_leg(gone.leg)
            self.former.append(gone)

    def _change_source(self) -> None:
        viewing = self._chance.choice(self.viewings)
        if self._chance.random() < 0.3:
            self.rig.feed(viewing.leg, None)
        else:
            self._feed(viewing)

    def _feed(self, viewing: Viewing) -> None:
        choices = [p.track for p in self.publishers if p.kind == viewing.kind]
        track = self._chance.choice(choices)
        extensions = {LEVEL_ID: 4} if self._chance.random() < 0.5 else {LEVEL_ID: 2, OTHER_ID: 7}
        payload_types = VIDEO_PAYLOAD_TYPES if viewing.kind == "video" else {111: 109}
        self.rig.feed(viewing.leg, track, payload_types, extensions)

    def _mute(self) -> None:
        publisher = self._chance.choice(self.publishers)
        self.rig.path.mute_track(publisher.track, self._chance.random() < 0.4)

    def _ask_again(self) -> None:
        viewing = self._chance.choice(self.viewings)
        newest = viewing.first_sequence + self.rig.path.send_stats(viewing.leg).packets
        wanted = [self._chance.randrange(0x10000) for _ in range(2)]
        wanted += [newest + self._chance.randrange(-60, 5) & 0xFFFF for _ in range(4)]
        self.told.append(self.rig.path.retransmit(viewing.leg, wanted, 1_000_000))
        self._drain()

    def _look(self) -> None:
        path = self.rig.path
        self.told += [sorted(path.missing()), sorted(path.waiting_for_keyframe()), path.levels()]
        for publisher in self.publishers:
            self.told.append(path.receive_stats(publisher.track))
            self.told.append(path.arrivals(publisher.remote.transport))
        self.told += [path.send_stats(viewing.leg) for viewing in self.viewings]
