"""What the README says to type, typed: against a server with a data directory and ports of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
READY_WITHIN = 60.0
EVENTS = (
    "MEETING_PARTICIPANT_JOINED",
    "MEETING_WAITING_PARTICIPANT_JOINED",
    "MEETING_WAITING_PARTICIPANT_ACCEPTED",
)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", 0))
        ports = tcp.getsockname()[1], udp.getsockname()[1]
    command = [sys.executable, "-m", "conference", "up", "--data-dir", str(tmp_path / "data")]
    command += ["--http-port", str(ports[0]), "--media-port", str(ports[1])]
    log = tmp_path / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    deadline = time.monotonic() + READY_WITHIN
    while "Parley is ready" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    yield f"http://127.0.0.1:{ports[0]}"
    process.send_signal(signal.SIGINT)
    process.wait(30)


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    return {**kept, **settings}


def blocks(heading: str) -> str:
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", section, re.S))


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_walks_go_as_they_are_written(address: str, tmp_path: Path) -> None:
    typed = blocks("A meeting with curl") + "\necho ---\n" + blocks("The same over UCWA")
    assert "url=http://127.0.0.1:8080\n" in typed
    typed = typed.replace("url=http://127.0.0.1:8080\n", f"url={address}\n")
    typed = typed.replace(".venv/bin/parley", f"{sys.executable} -m conference")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", typed],
        cwd=ROOT,
        env=environment(PARLEY_DATA_DIR=str(tmp_path / "data")),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    meeting, _, ucwa = done.stdout.partition("---\n")
    assert re.findall(r'"status": ?"(ACCEPTED|WAITING)"', meeting) == [
        "ACCEPTED",
        "WAITING",
        "ACCEPTED",
    ]
    assert [event in meeting for event in EVENTS] == [True] * len(EVENTS), meeting
    assert '"first"' in ucwa
    assert "Connecting" in ucwa
    assert "Conferenced" in ucwa
