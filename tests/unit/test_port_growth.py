"""Tables of a transport that begin small: full of what they may hold, and past it."""

from __future__ import annotations

import gc
import struct

from path_rig import Rig, rtp, vp8

from sfu.path.python.association import MAX_ARRIVALS

TRANSPORT_CC = 3


def stamped(number: int) -> bytes:
    elements = bytes([TRANSPORT_CC << 4 | 1]) + struct.pack("!H", number)
    return rtp(number + 1, 0, 1000, vp8(number, keyframe=True), elements=elements)


def test_arrivals_are_told_in_order_however_many_gather(rig: Rig) -> None:
    publisher = rig.remote()
    rig.track(publisher, 1000, transport_cc_id=TRANSPORT_CC)
    number = 0
    for burst in (1, 31, 2, 70, 300):
        for _ in range(burst):
            publisher.send(stamped(number))
            rig.drain(100)
            number += 1
        told = rig.path.arrivals(publisher.transport)
        assert [item for item, _ in told] == list(range(number - burst, number))
        assert [at for _, at in told] == sorted({at for _, at in told})
        assert rig.path.arrivals(publisher.transport) == []


def test_of_too_many_arrivals_the_newest_are_told(rig: Rig) -> None:
    publisher = rig.remote()
    rig.track(publisher, 1000, transport_cc_id=TRANSPORT_CC)
    many = MAX_ARRIVALS + 100
    for number in range(many):
        publisher.send(stamped(number))
        if number % 50 == 49:
            rig.drain(1000)
    rig.drain()
    told = [item for item, _ in rig.path.arrivals(publisher.transport)]
    assert told == list(range(many - MAX_ARRIVALS, many))
    publisher.send(stamped(many))
    rig.drain(1000)
    assert [item for item, _ in rig.path.arrivals(publisher.transport)] == [many]


def test_the_path_keeps_what_it_needs_of_the_sessions(rig: Rig) -> None:
    """Whoever made them lets go: the keys stay good."""
    publisher, viewer = rig.remote(), rig.remote()
    rig.feed(rig.leg(viewer), rig.track(publisher, 1000))
    gc.collect()
    publisher.send(rtp(1, 0, 1000, vp8(1, keyframe=True)))
    rig.drain()
    assert len(viewer.receive()) == 1
