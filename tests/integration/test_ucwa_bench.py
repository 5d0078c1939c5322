"""scripts/bench ucwa, small: it runs, counts what it says it counts, and nothing gets lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parent.parent.parent


class Row(msgspec.Struct):
    """What others may read of the rows."""

    kind: str
    polls: int
    park_us: float
    kib_per_poll: float
    idle_percent: float
    steady_us: float
    lost: int
    doubled: int
    failed: int


@pytest.mark.slow
async def test_the_benchmark_of_applications_runs_and_loses_nothing() -> None:
    process = await asyncio.create_subprocess_exec(
        str(ROOT / "scripts" / "bench"),
        *["ucwa", "--json", "--quick", "--kinds", "ucwa", "--polls", "100"],
        *["--rate", "100", "--seconds", "1"],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 100)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    (row,) = msgspec.json.decode(output, type=list[Row])
    assert (row.kind, row.polls) == ("ucwa", 100)
    assert (row.lost, row.doubled, row.failed) == (0, 0, 0)
    assert min(row.park_us, row.steady_us) > 0
