"""scripts/bench channels, small: it runs, counts what it says it counts, and nothing gets lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parent.parent.parent


class Row(msgspec.Struct):
    """What others may read of the rows."""

    server: str
    polls: int
    steady_us: float
    times_base: float
    kib_per_poll: float
    p99_ms: float
    lost: int
    doubled: int
    failed: int


@pytest.mark.slow
async def test_the_benchmark_of_channels_runs_and_loses_nothing() -> None:
    process = await asyncio.create_subprocess_exec(
        str(ROOT / "scripts" / "bench"),
        *["channels", "--json", "--servers", "aiohttp,parley", "--polls", "100"],
        *["--rate", "100", "--seconds", "1", "--rounds", "1"],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 100)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    rows = msgspec.json.decode(output, type=list[Row])
    assert [row.server for row in rows] == ["aiohttp", "parley"]
    for row in rows:
        assert (row.lost, row.doubled, row.failed) == (0, 0, 0)
        assert min(row.steady_us, row.times_base, row.p99_ms) > 0
