"""The compiled path does to the byte what the pure one does, whatever comes in.

PARLEY_TWIN_PACKETS changes how many packets are played in all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from native_twins import Call, Twins

from sfu.paths import native_available

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
