"""The compiled path does to the byte what the pure one does, whatever comes in.

PARLEY_TWIN_PACKETS changes how many packets are played in all.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from native_twins import Twins
from path_rig import rtp
from stun_writer import signed_check
from twin_call import Call

from sfu.path.choice import native_available
from sfu.path.interface import Codec, TrackSpec

PACKETS = int(os.environ.get("PARLEY_TWIN_PACKETS", "100000"))
SEEDS = 5

pytestmark = pytest.mark.skipif(not native_available(), reason="no compiled path")


@pytest.fixture
def twins() -> Iterator[Twins]:
    twins = Twins()
    yield twins
    twins.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_same_datagrams_in_same_bytes_out(twins: Twins, seed: int) -> None:
    if seed % 2:
        twins.native._use_segmentation(False)
    call = Call(twins, seed)
    call.play(PACKETS // SEEDS)
    counters = twins.compare_counters()
    if PACKETS < 100_000:
        return
    # It must have been a call worth comparing.
    assert twins.received > call.sent / 4
    for name, count in counters.items():
        if name.startswith(("in_", "drop_", "retransmit", "rtx_", "send_full_v", "send_retried")):
            assert count, name


@pytest.mark.parametrize("gaps", [[511], [512], [300, 212], [300, 213], [200, 200, 200, 200]])
def test_as_many_holes_are_kept(twins: Twins, gaps: list[int]) -> None:
    publisher, number = twins.client(), 5
    codecs = {111: Codec(name="opus", clock_rate=48_000)}
    spec = TrackSpec(transport=publisher.transport, kind="audio", ssrc=1000, codecs=codecs)
    twins.same(lambda path: path.add_track(spec))
    for gap in [0, *gaps]:
        number += gap + 1
        publisher.send(publisher.protects.protect(rtp(number, 0, 1000, payload_type=111)))
        twins.drain(1)
        twins.same(lambda path: path.missing())
    for late in range(number - 40, number - 2, 3):
        publisher.send(publisher.protects.protect(rtp(late, 0, 1000, payload_type=111)))
    twins.drain(1)
    assert len(twins.same(lambda path: path.missing()) or [0]) == 1


def test_checks_are_answered_and_remembered_alike(twins: Twins) -> None:
    """Attributes that are known, unknown, fixed in size, before and behind the signature; ids that come again."""
    client, chance = twins.client(), random.Random(4)
    transport, password = client.transport, "0123456789abcdef01234567"
    twins.same(lambda path: path.answer_checks(transport, "ab12cd34", password))
    kinds = [0x0001, 0x0002, 0x0009, 0x0012, 0x001C, 0x0020, 0x0024, 0x0025, 0x7FFF]
    kinds += [0x8022, 0x8029, 0x802A, 0xC057]
    sizes = {0x0024: 4, 0x0025: 0, 0x8029: 8, 0x802A: 8}
    told = answered = 0

    def some(most: int) -> tuple[tuple[int, bytes], ...]:
        found = chance.sample(kinds, chance.randrange(most))
        return tuple((kind, bytes(sizes.get(kind, 5) + (chance.random() < 0.02))) for kind in found)

    for _ in range(3000):
        transaction = chance.randrange(200).to_bytes(12, "big")
        client.send(
            signed_check(
                chance.choice(["ab12cd34:x", "ab12cd34:y", "ab12cd3:x"]),
                password,
                attributes=some(3),
                behind=some(3),
                transaction=transaction,
            )
        )
        before = twins.received
        told += len(twins.drain(chance.randrange(1000)).stun)
        answered += twins.received - before
        at = client.socket.getsockname()
        twins.same(lambda path: path.answered(transport, transaction))  # noqa: B023
        twins.same(lambda path: path.heard_from_us(transport, at))  # noqa: B023
        twins.same(lambda path: path.nominated_us(transport))
        twins.same(lambda path: path.last_received_us(transport))
    assert told > 500
    assert answered > 500
