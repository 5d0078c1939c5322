"""The command as its users call it: a row with the promised keys, and nothing else on stdout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def measured(server: str, load: str) -> dict[str, Any]:
    done = bench("--json", "--servers", server, "--loads", load, "--seconds", "1", "--runs", "1")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    if not rows and "skipped" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert len(rows) == 1, done.stderr
    assert set(rows[0]) >= KEYS
    assert (rows[0]["load"], rows[0]["server"]) == (load, server)
    return dict(rows[0])


@pytest.mark.slow
@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("server", ["parley-python", "parley-native", "janus"])
def test_a_server_is_measured(server: str) -> None:
    row = measured(server, "width@10")
    assert 0.9 < row["delivered"] < 1.02  # a busy machine may lose some
    assert row["us_per_packet"] > 0
    assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert row["unopened"] == 0


@pytest.mark.slow
@pytest.mark.usefixtures("namespace")
def test_the_relay_is_measured_by_frames() -> None:
    row = measured("aiortc-relay", "relay-3")
    assert row["delivered"] == pytest.approx(1.0, abs=0.2)
    assert row["us_per_packet"] > 0
    assert row["p50_ms"] is None


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("option", ["--loads", "--servers"])
def test_an_unknown_name_is_refused_with_those_there_are(option: str) -> None:
    done = bench(option, "nonesuch")
    assert done.returncode != 0
    assert "nonesuch" in done.stderr
    assert {"--loads": "fan-60", "--servers": "parley-python"}[option] in done.stderr
