"""The command as its users call it: a row with the promised keys, and nothing else on stdout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEYS = {"load", "server", "us_per_packet", "delivered", "p50_ms", "p99_ms", "rss_mib"}


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    """As scripts/bench runs it, with this interpreter."""
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts/benches/forward.py"), *options],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


@pytest.fixture(scope="module")
def namespace() -> None:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("no unshare or ip here")
    command = ["unshare", "--net", "--map-root-user", "true"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not make a network namespace")


@pytest.mark.slow
@pytest.mark.usefixtures("namespace")
def test_a_worker_is_measured() -> None:
    options = ("--servers", "parley-python", "--loads", "width@10", "--seconds", "1", "--runs", "1")
    done = bench("--json", *options)
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)
    assert set(row) >= KEYS
    assert (row["load"], row["server"]) == ("width@10", "parley-python")
    assert row["delivered"] == pytest.approx(1.0, abs=0.02)
    assert row["us_per_packet"] > 0
    assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert row["unopened"] == 0


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("option", ["--loads", "--servers"])
def test_an_unknown_name_is_refused_with_those_there_are(option: str) -> None:
    done = bench(option, "nonesuch")
    assert done.returncode != 0
    assert "nonesuch" in done.stderr
    assert {"--loads": "fan-60", "--servers": "parley-python"}[option] in done.stderr
