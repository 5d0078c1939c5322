"""A packet path on a loopback socket, with publishers and viewers that speak real SRTP to it."""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from pylibsrtp import Policy, Session

from sfu.path.interface import Codec, Inbound, Kind, LegSpec, PacketPath, Source, TrackSpec
from sfu.wire.address import Address

PathFactory = Callable[[socket.socket], PacketPath]

HEADER = struct.Struct("!BBHII")


def _session(key: bytes, ssrc_type: int) -> Session:
    policy = Policy(key=key, ssrc_type=ssrc_type, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_256_GCM)
    policy.allow_repeat_tx = True
    policy.window_size = 1024  # as aiortc has it
    return Session(policy)


def sessions(number: int) -> tuple[Session, Session, Session]:
    """What protects and what opens under one key; a second opener has seen nothing yet."""
    key = number.to_bytes(44, "big")
    return (
        _session(key, Policy.SSRC_ANY_OUTBOUND),
        _session(key, Policy.SSRC_ANY_INBOUND),
        _session(key, Policy.SSRC_ANY_INBOUND),
    )


class Rtp(NamedTuple):
    """An RTP packet as a test reads it."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    body: bytes
    """Everything behind the fixed header."""
    first: int = 0x80


def rtp(
    sequence: int,
    timestamp: int,
    ssrc: int,
    payload: bytes = b"media",
    *,
    payload_type: int = 96,
    marker: bool = False,
    elements: bytes | None = None,
    profile: int = 0xBEDE,
    padding: int = 0,
    csrcs: tuple[int, ...] = (),
) -> bytes:
    first = 0x80 | len(csrcs) | (0x10 if elements is not None else 0) | (0x20 if padding else 0)
    data = HEADER.pack(
        first,
        marker << 7 | payload_type,
        sequence & 0xFFFF,
        timestamp & 0xFFFFFFFF,
        ssrc,
    )
    data += b"".join(csrc.to_bytes(4, "big") for csrc in csrcs)
    if elements is not None:
        elements += bytes(-len(elements) % 4)
        data += struct.pack("!HH", profile, len(elements) // 4) + elements
    data += payload
    if padding:
        data += bytes(padding - 1) + bytes([padding])
    return data


def read(data: bytes) -> Rtp:
    first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
    return Rtp(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[12:], first)


def vp8(
    picture_id: int,
    tl0: int = 0,
    *,
    keyframe: bool = False,
    start: bool = True,
    body: bytes = b"frame",
    short: bool = False,
) -> bytes:
    """A payload descriptor with picture id and TL0PICIDX in front of a frame's bytes."""
    ids = bytes([picture_id & 0x7F]) if short else struct.pack("!H", 0x8000 | picture_id & 0x7FFF)
    head = bytes([0x90 if start else 0x80, 0xC0]) + ids + bytes([tl0 & 0xFF])
    return head + (b"\x00" if keyframe else b"\x01") + body


class Remote:
    """One client: a socket, and the SRTP association with the path."""

    def __init__(
        self, path: PacketPath, port: int, host: str = "127.0.0.1", *, number: int = 1
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.settimeout(2)
        self.server = (host, port)
        self.protects, theirs_in, _ = sessions(2 * number)
        theirs_out, self.opens, self.opens_again = sessions(2 * number + 1)
        self.transport = path.open_transport(theirs_in, theirs_out, self.address)

    @property
    def address(self) -> Address:
        host, port = self.socket.getsockname()[:2]
        return host, port

    def close(self) -> None:
        self.socket.close()

    def send(self, packet: bytes) -> None:
        self.send_raw(self.protects.protect(packet))

    def send_rtcp(self, compound: bytes) -> None:
        self.send_raw(self.protects.protect_rtcp(compound))

    def send_raw(self, data: bytes) -> None:
        self.socket.sendto(data, self.server)

    def receive_raw(self) -> list[bytes]:
        """What has arrived; loopback delivers before the sender's call returns."""
        self.socket.setblocking(False)
        found = []
        try:
            while True:
                found.append(self.socket.recv(4096))
        except BlockingIOError:
            return found

    def receive(self) -> list[Rtp]:
        return [read(self.opens.unprotect(data)) for data in self.receive_raw()]

    def receive_bytes(self) -> list[bytes]:
        return [self.opens.unprotect(data) for data in self.receive_raw()]

    def receive_repeated(self) -> list[bytes]:
        """Packets that this client has had already, opened as by one that lost them."""
        return [self.opens_again.unprotect(data) for data in self.receive_raw()]


class Rig:
    """The path, its socket and its remotes, with a clock that a test moves."""

    def __init__(self, factory: PathFactory, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind((host, 0))
        self.port = sock.getsockname()[1]
        self.path = factory(sock)
        self.now_us = 1_000_000
        self.remotes: list[Remote] = []
        self._ssrcs = itertools.count(0x5000)

    def close(self) -> None:
        self.path.close()
        for remote in self.remotes:
            remote.close()

    def remote(self, host: str = "127.0.0.1") -> Remote:
        remote = Remote(self.path, self.port, host, number=len(self.remotes) + 1)
        self.remotes.append(remote)
        return remote

    def drain(self, after_us: int = 0) -> Inbound:
        """One drain after another until one brings nothing; all that they left for Python."""
        self.now_us += after_us
        whole = Inbound()
        before = -1
        while before != (before := self.path.counters()["datagrams_in"]):
            part = self.path.drain(self.now_us)
            for name in msgspec.structs.asdict(part):
                getattr(whole, name).extend(getattr(part, name))
        return whole

    def count(self, name: str) -> int:
        return self.path.counters()[name]

    def track(
        self,
        remote: Remote,
        ssrc: int,
        kind: Kind = "video",
        *,
        codecs: dict[int, Codec] | None = None,
        rtx_ssrc: int | None = None,
        audio_level_id: int = 0,
        transport_cc_id: int = 0,
    ) -> int:
        default = (
            {96: Codec(name="VP8", clock_rate=90_000, rtx=97)}
            if kind == "video"
            else {111: Codec(name="opus", clock_rate=48_000)}
        )
        return self.path.add_track(
            TrackSpec(
                transport=remote.transport,
                kind=kind,
                ssrc=ssrc,
                codecs=codecs or default,
                rtx_ssrc=rtx_ssrc,
                audio_level_id=audio_level_id,
                transport_cc_id=transport_cc_id,
            )
        )

    def leg(
        self,
        remote: Remote,
        kind: Kind = "video",
        *,
        ssrc: int | None = None,
        rtx_ssrc: int | None = None,
        rtx: dict[int, int] | None = None,
        first_sequence: int = 1,
    ) -> int:
        return self.path.add_leg(
            LegSpec(
                transport=remote.transport,
                kind=kind,
                ssrc=ssrc if ssrc is not None else next(self._ssrcs),
                rtx_ssrc=rtx_ssrc,
                rtx=rtx or {},
                first_sequence=first_sequence,
            )
        )

    def feed(
        self,
        leg: int,
        track: int | None,
        payload_types: dict[int, int] | None = None,
        extensions: dict[int, int] | None = None,
    ) -> None:
        source = None
        if track is not None:
            source = Source(
                track=track,
                payload_types=payload_types or {96: 96, 111: 111},
                extensions=extensions or {},
            )
        self.path.set_source(leg, source, self.now_us)
