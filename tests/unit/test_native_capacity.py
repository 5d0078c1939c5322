"""Ten thousand legs in one compiled path: what each takes of memory, and that all of them are served."""

from __future__ import annotations

import gc
import importlib
import os
from pathlib import Path

import pytest
from path_rig import Rig, rtp, sessions, vp8

from sfu.path.choice import native_available
from sfu.path.counters import Counters
from sfu.path.interface import LegSpec, Source, SrtpKeys

pytestmark = pytest.mark.skipif(not native_available(), reason="no compiled path")

PUBLISHERS, VIEWERS = 20, 500
MOST_PER_LEG = 3 * 1024


def native(sock: object) -> object:
    return importlib.import_module("sfu.native.path").NativePath(sock)


def resident() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_ten_thousand_legs() -> None:
    rig = Rig(native)  # type: ignore[arg-type]
    publishers = [rig.remote() for _ in range(PUBLISHERS)]
    tracks = [rig.track(publisher, 1000 + i) for i, publisher in enumerate(publishers)]
    before = resident()
    viewers = []
    for index in range(VIEWERS):
        # Nobody listens there; what the kernel says about it is not our business.
        address = (f"127.77.{index // 250}.{1 + index % 250}", 9)
        _, receive, _ = sessions(2 * index + 10_001)
        send, _, _ = sessions(2 * index + 10_000)
        master = (2 * index + 10_000).to_bytes(44, "big")
        keys = SrtpKeys(master[:32], master[32:])
        viewers.append(rig.path.open_transport(receive, send, address, keys))
    for viewer in viewers:
        for index, track in enumerate(tracks):
            spec = LegSpec(transport=viewer, kind="video", ssrc=100 + index, rtx_ssrc=200 + index)
            leg = rig.path.add_leg(spec)
            rig.path.set_source(leg, Source(track=track, payload_types={96: 96}), rig.now_us)
    for number in range(1, 4):
        for index, publisher in enumerate(publishers):
            publisher.send(rtp(number, 0, 1000 + index, vp8(number, keyframe=number == 1)))
        rig.drain(10_000)
    counters = rig.path.counters()
    assert counters["native_legs"] == PUBLISHERS * VIEWERS
    assert counters["forwarded"] == counters["datagrams_out"] == 3 * PUBLISHERS * VIEWERS
    assert (resident() - before) / (PUBLISHERS * VIEWERS) < MOST_PER_LEG
    for viewer in viewers:
        rig.path.close_transport(viewer)
    assert rig.count("native_legs") == 0
    rig.close()


def test_its_counters_are_those_of_the_pure_path_and_some_of_its_own() -> None:
    rig = Rig(native)  # type: ignore[arg-type]
    pure = set(Counters.__struct_fields__)
    own = set(rig.path.counters()) - pure
    assert pure <= set(rig.path.counters())
    assert own
    assert all(name.startswith("native_") for name in own)
    rig.close()
