"""`parley up` as a user meets it: real processes, real servers, signals and kills."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ports_in_a_row import free_ports

UP_WITHIN = 60.0
DOWN_WITHIN = 30.0
LINK = re.compile(r"^  (\w+)(?: \(moderator\))? +(http://\S+)/join/([\w-]{10})#token=(\S+)$", re.M)


class Up:
    """One `parley up`, its output in a file."""

    def __init__(
        self, data_dir: Path, log: Path, *options: str, http_port: int = 0, **settings: str
    ) -> None:
        self.http_port = http_port or free_ports("tcp")
        self.media_port = free_ports("udp")
        self.log = log
        ports = ["--http-port", str(self.http_port), "--media-port", str(self.media_port)]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "conference", "up", *ports, *options],
                env=environment(PARLEY_DATA_DIR=str(data_dir), **settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def ready(self) -> Up:
        eventually(
            lambda: "Ctrl-C stops" in self.text or self.process.poll() is not None, UP_WITHIN
        )
        assert self.process.poll() is None, self.text
        return self

    def links(self) -> dict[str, tuple[str, str]]:
        return {who: (address, code) for who, address, code, _ in LINK.findall(self.text)}

    def family(self) -> dict[int, str]:
        """Every descendant and its command line."""
        return descendants(self.process.pid)

    def child(self, containing: str) -> int:
        return next(pid for pid, command in self.family().items() if containing in command)

    def end(self, sign: signal.Signals) -> int:
        self.process.send_signal(sign)
        return self.process.wait(DOWN_WITHIN)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts `parley up` with a data directory of this test's own."""
    started: list[Up] = []

    def start(*options: str, http_port: int = 0, **settings: str) -> Up:
        log = tmp_path / f"up-{len(started)}.log"
        started.append(Up(tmp_path / "var", log, *options, http_port=http_port, **settings))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.end(signal.SIGTERM)


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    return {**kept, **settings}


def eventually(holds: Callable[[], bool], within: float = 15.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.05)


def descendants(root: int) -> dict[int, str]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat_of(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    family = {root}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return {pid: command_of(pid) for pid in family - {root}}


def stat_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(pid: int) -> bool:
    fields = stat_of(pid)
    return bool(fields) and fields[0] != "Z"


def gone(pids: dict[int, str]) -> bool:
    return not [pid for pid in pids if alive(pid)]


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            code: int = response.status
            return code
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_ctrl_c_leaves_nothing_and_a_second_start_finds_the_same_meeting(
    up: Callable[..., Up],
) -> None:
    first = up().ready()
    links = first.links()
    assert list(links) == ["alice", "bob", "carol"]
    assert {address for address, _ in links.values()} == {first.address}
    assert status(f"{first.address}/readyz") == 200
    family = first.family()
    for part in ("conference api", "conference sfu", "postgres", "valkey-server"):
        assert [command for command in family.values() if part in command], part

    assert first.end(signal.SIGINT) == 0
    assert gone(family)
    assert "Traceback" not in first.text

    second = up().ready()
    assert {code for _, code in second.links().values()} == {code for _, code in links.values()}
    family = second.family()
    assert second.end(signal.SIGTERM) == 0
    assert gone(family)


def test_a_killed_supervisor_leaves_nothing_and_can_be_started_again(up: Callable[..., Up]) -> None:
    first = up().ready()
    family = first.family()
    first.process.kill()
    first.process.wait(5)
    second = up().ready()  # at once: the kernel may still be ending the others
    assert gone(family)
    assert first.links()["alice"][1] == second.links()["alice"][1]


def test_what_ends_is_started_again(up: Callable[..., Up]) -> None:
    running = up().ready()
    for part, sign in (
        ("conference sfu", signal.SIGKILL),
        ("conference api", signal.SIGSEGV),
        ("valkey-server", signal.SIGKILL),
        ("postgres -D", signal.SIGKILL),
    ):
        before = running.child(part)
        os.kill(before, sign)
        eventually(lambda before=before: not alive(before))  # type: ignore[misc]
        eventually(
            lambda part=part: any(part in command for command in running.family().values())  # type: ignore[misc]
        )
    eventually(lambda: status(f"{running.address}/readyz") == 200, 30)


def test_several_of_each(up: Callable[..., Up]) -> None:
    running = up("--api", "2", "--workers", "2", "--no-demo").ready()
    assert status(f"http://127.0.0.1:{running.http_port}/readyz") == 200
    assert status(f"http://127.0.0.1:{running.http_port + 1}/readyz") == 200
    commands = list(running.family().values())
    assert len([command for command in commands if "conference sfu" in command]) == 2
    assert running.links() == {}


def test_a_worker_that_does_not_stop_is_killed_in_bounded_time(up: Callable[..., Up]) -> None:
    running = up("--no-demo").ready()
    family = running.family()
    os.kill(running.child("conference sfu"), signal.SIGSTOP)
    assert running.end(signal.SIGINT) == 0
    assert gone(family)


def test_a_second_ctrl_c_is_quick(up: Callable[..., Up]) -> None:
    running = up("--no-demo").ready()
    family = running.family()
    os.kill(running.child("conference api"), signal.SIGSTOP)
    began = time.monotonic()
    running.process.send_signal(signal.SIGINT)
    time.sleep(0.5)  # two signals at once are one to the kernel
    assert running.end(signal.SIGINT) == 0
    assert time.monotonic() - began < 11  # the API process alone would be given 12
    assert gone(family)


def test_ctrl_c_while_starting(up: Callable[..., Up]) -> None:
    starting = up()
    eventually(lambda: "process started" in starting.text, UP_WITHIN)
    family = starting.family()
    assert starting.end(signal.SIGINT) == 0
    assert gone(family)


def test_two_in_one_directory_are_refused(up: Callable[..., Up], tmp_path: Path) -> None:
    first = up("--no-demo").ready()
    second = up("--no-demo")
    assert second.process.wait(20) == 1
    assert f"already runs in {tmp_path / 'var'} (process {first.process.pid})" in second.text
    assert status(f"{first.address}/readyz") == 200


def test_a_taken_port_is_named_with_who_has_it(up: Callable[..., Up], tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        refused = up(http_port=port)
        assert refused.process.wait(20) == 1
    assert f"PARLEY_HTTP_PORT: can't listen on 127.0.0.1 port {port} (TCP)" in refused.text
    assert f"is taken by process {os.getpid()} " in refused.text
    assert "--http-port" in refused.text
    assert "Traceback" not in refused.text
    assert not (tmp_path / "var" / "postgres").exists()


def test_servers_of_ones_own_are_used(
    up: Callable[..., Up], database_url: str, redis_url: str, tmp_path: Path
) -> None:
    running = up(PARLEY_DATABASE_URL=database_url, PARLEY_REDIS_URL=redis_url).ready()
    assert len(running.links()) == 3
    assert not (tmp_path / "var" / "postgres").exists()
    assert not (tmp_path / "var" / "valkey").exists()
    assert not [command for command in running.family().values() if "valkey" in command]


def test_a_directory_out_of_reach_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = Up(tmp_path / "file" / "var", tmp_path / "log")
    assert refused.process.wait(20) == 1
    assert "PARLEY_DATA_DIR" in refused.text
    assert "Traceback" not in refused.text
