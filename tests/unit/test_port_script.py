"""Random calls: what a viewer may rely on whatever happens, and that both paths send the same bytes.

PARLEY_SCRIPT_PACKETS makes the comparison of both paths longer, e.g. 100000.
"""

from __future__ import annotations

import importlib
import os
from itertools import pairwise
from typing import NamedTuple

import pytest
from path_rig import PathFactory, Remote, Rig
from path_script import CLEAN, ROUGH, Network, Script

from sfu.path.choice import native_available
from sfu.path.python.path import PythonPath
from sfu.wire.header import parse
from sfu.wire.sequence import extend

PACKETS = int(os.environ.get("PARLEY_SCRIPT_PACKETS", "2000"))


class Got(NamedTuple):
    """One packet of a viewer's stream."""

    number: int
    timestamp: int
    has_media: bool


class Played(NamedTuple):
    script: Script
    streams: list[list[Got]]
    """Of every leg, in the order of the viewer's numbers."""
    counters: dict[str, int]


def streams(script: Script) -> list[list[Got]]:
    return [
        stream(script.received_by(viewing), viewing.remote)
        for viewing in [*script.viewings, *script.former]
    ]


def stream(datagrams: list[bytes], viewer: Remote) -> list[Got]:
    highest, packets = 0x10000, {}
    # A packet sent again under its own SSRC is the same to the byte: SRTP would refuse it.
    for data in dict.fromkeys(datagrams):
        packet = parse(viewer.opens_again.unprotect(data))
        number = extend(packet.sequence, highest)
        highest = max(highest, number)
        assert number not in packets
        packets[number] = Got(number, packet.timestamp, packet.has_media)
    return [packets[number] for number in sorted(packets)]


def play(factory: PathFactory, seed: int, network: Network, packets: int) -> Played:
    rig = Rig(factory)
    try:
        script = Script(rig, seed, network)
        script.play(packets)
        counters = rig.path.counters()
        timeless = {n: count for n, count in counters.items() if not n.startswith("forward_us")}
        return Played(script, streams(script), timeless)
    finally:
        rig.close()


@pytest.mark.parametrize("seed", range(4))
def test_without_loss_numbers_never_skip(path_factory: PathFactory, seed: int) -> None:
    """Through every mute, pause, probe and change of source."""
    played = play(path_factory, seed, CLEAN, 1_500)
    assert sum(len(stream) for stream in played.streams) > 300
    for stream in played.streams:
        first = stream[0].number if stream else 0
        assert [got.number for got in stream] == list(range(first, first + len(stream)))
    assert played.counters["retransmitted"]


@pytest.mark.parametrize("network", [CLEAN, ROUGH], ids=["clean", "rough"])
def test_time_and_order_never_go_back(path_factory: PathFactory, network: Network) -> None:
    played = play(path_factory, 5, network, 3_000)
    for stream in played.streams:
        for one, another in pairwise(stream):
            assert (another.timestamp - one.timestamp) & 0xFFFFFFFF < 0x80000000
            assert one.has_media or network is ROUGH
    missing = sum(got[-1].number - got[0].number + 1 - len(got) for got in played.streams if got)
    assert missing <= played.script.held_up * len(played.streams)
    assert (missing == 0) == (network is CLEAN)


def test_a_call_is_repeated_to_the_byte(path_factory: PathFactory) -> None:
    """No clock and no chance of the path's own: what one path can be compared by with another."""
    one, another = (play(path_factory, 6, ROUGH, 1_000) for _ in range(2))
    assert one.script.told == another.script.told
    assert one.script.received == another.script.received
    assert one.counters == another.counters


@pytest.mark.skipif(not native_available(), reason="no compiled path")
@pytest.mark.parametrize("seed", range(10))
def test_both_paths_send_the_same_bytes(seed: int) -> None:
    native = importlib.import_module("sfu.native.path").NativePath
    ours = play(PythonPath, seed, ROUGH, PACKETS)
    theirs = play(native, seed, ROUGH, PACKETS)
    assert theirs.script.told == ours.script.told
    assert theirs.script.received == ours.script.received
    # The compiled path may count more, under names of its own.
    assert {name: theirs.counters[name] for name in ours.counters} == ours.counters
