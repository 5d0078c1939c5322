"""RTP that the compiled path seals itself is to the byte what libsrtp makes of it."""

from __future__ import annotations

import importlib
import random
import socket
from collections.abc import Iterator

import pytest
from path_rig import rtp
from pylibsrtp import Policy, Session

from sfu.native.srtp import session_key
from sfu.path.choice import native_available
from sfu.path.interface import Codec, LegSpec, Source, SrtpKeys, TrackSpec

pytestmark = pytest.mark.skipif(not native_available(), reason="no compiled path")

PROFILES = {
    16: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    32: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


def session(master: bytes, length: int, ssrc_type: int) -> Session:
    policy = Policy(key=master, ssrc_type=ssrc_type, srtp_profile=PROFILES[length])
    policy.allow_repeat_tx = True
    policy.window_size = 1024
    return Session(policy)


class Loop:
    """A publisher, and a viewer whose packets the path seals; and libsrtp with the same keys."""

    def __init__(self, key_length: int, *, narrow: bool) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        self.server = sock.getsockname()
        self.path = importlib.import_module("sfu.native.path").NativePath(sock)
        if narrow:
            self.path._seal_narrowly()
        self.publisher, self.viewer = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        for client in (self.publisher, self.viewer):
            client.bind(("127.0.0.1", 0))
        inward, outward = (bytes(range(n, n + key_length + 12)) for n in (1, 101))
        self.protects = session(inward, key_length, Policy.SSRC_ANY_OUTBOUND)
        self.sealer = session(outward, key_length, Policy.SSRC_ANY_OUTBOUND)
        opens = session(inward, key_length, Policy.SSRC_ANY_INBOUND)
        unused = session(bytes(key_length + 12), key_length, Policy.SSRC_ANY_OUTBOUND)
        keys = SrtpKeys(outward[:key_length], outward[key_length:])
        sending = self.path.open_transport(opens, unused, self.publisher.getsockname())
        seeing = self.path.open_transport(opens, unused, self.viewer.getsockname(), keys)
        codecs = {111: Codec(name="opus", clock_rate=48_000)}
        track = self.path.add_track(
            TrackSpec(transport=sending, kind="audio", ssrc=1000, codecs=codecs)
        )
        self.leg = self.path.add_leg(
            LegSpec(transport=seeing, kind="audio", ssrc=0xDEADBEEF, first_sequence=5)
        )
        source = Source(track=track, payload_types={111: 111}, extensions={1: 1})
        self.path.set_source(self.leg, source, 1)

    def forward(self, packet: bytes) -> bytes:
        self.publisher.sendto(self.protects.protect(packet), self.server)
        self.path.drain(1)
        self.viewer.settimeout(2)
        return self.viewer.recv(2048)

    def close(self) -> None:
        self.path.close()
        self.publisher.close()
        self.viewer.close()


@pytest.fixture(params=[(16, False), (16, True), (32, False), (32, True)], ids=str)
def loop(request: pytest.FixtureRequest) -> Iterator[Loop]:
    length, narrow = request.param
    loop = Loop(length, narrow=narrow)
    yield loop
    loop.close()


def test_every_length_of_payload_and_header(loop: Loop) -> None:
    chance = random.Random(3)
    lengths = [*range(1, 1300), 1]
    chance.shuffle(lengths)
    for number, length in enumerate(lengths):
        block = chance.choice([None, b"\x10z", bytes([0x1F, *range(16)]) * chance.randrange(1, 9)])
        block = block if length + len(block or b"") < 1300 else None
        csrcs = tuple(range(chance.choice([0, 0, 1, 3, 15]))) if length < 1200 else ()
        payload = chance.randbytes(length)
        sent = rtp(number, number, 1000, payload, payload_type=111, elements=block, csrcs=csrcs)
        want = rtp(
            number + 5,
            number,
            0xDEADBEEF,
            payload,
            payload_type=111,
            elements=block,
            csrcs=csrcs,
        )
        assert loop.forward(sent) == loop.sealer.protect(want)


def test_the_rollover_counter_is_part_of_the_nonce(loop: Loop) -> None:
    """Steps of 30,000 numbers, as after outages, through several cycles."""
    for step in range(12):
        number = 30_000 * step
        sent = rtp(number, 0, 1000, b"opus", payload_type=111)
        want = rtp(number + 5, 0, 0xDEADBEEF, b"opus", payload_type=111)
        assert loop.forward(sent) == loop.sealer.protect(want)
        if step:
            loop.path.retransmit(loop.leg, [(number + 5) & 0xFFFF], 1_000_000)
            assert loop.viewer.recv(2048) == loop.sealer.protect(want)


def test_rtcp_stays_with_libsrtp(loop: Loop) -> None:
    report = bytes([0x80, 201, 0, 1]) + bytes(4)
    loop.path.send_rtcp(2, report)
    assert len(loop.viewer.recv(2048)) == len(report) + 4 + 16


def test_session_keys_of_rfc_3711() -> None:
    """Appendix B.3, which RFC 7714 section 11 refers to; its salt is two bytes longer than that of GCM."""
    keys = SrtpKeys(
        bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139"),
        bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6"),
    )
    key, salt = session_key(keys)
    assert key.hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087"
    assert salt.hex().upper() == "30CBBC08863D8C85D49DB34A9AE1"
