"""Who may send to a worker that is there for this machine only: seen between two network namespaces."""

from __future__ import annotations

import errno
import shutil
import socket
import subprocess
import sys

import pytest

from config.settings import THIS_MACHINE, Settings
from sfu.transport import addresses
from sfu.transport.addresses import announced, bind
from sfu.worker.worker import Worker

LOOPBACK = {"self 127.0.0.1", "self ::1"}
OWN = {"self 10.9.0.1", "self fd09::1"}
NETWORK = {"neighbour 10.9.0.1", "neighbour fd09::1"}

NEIGHBOURS = """
import subprocess, sys
from contextlib import suppress
from sfu.transport.addresses import bind

SAY = '''
import socket, sys
name, port, *hosts = sys.argv[1:]
for host in hosts:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.socket(family, socket.SOCK_DGRAM).sendto(f"{name} {host}".encode(), (host, int(port)))
'''

def run(*command):
    subprocess.run(command, check=True)

# The other machine is a namespace too: it stays while its shell does.
other = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo up; cat"], stdin=-1, stdout=-1)
other.stdout.readline()
there = ("nsenter", f"--net=/proc/{other.pid}/ns/net")
run("ip", "link", "set", "lo", "up")
run("ip", "link", "add", "ours", "type", "veth", "peer", "name", "theirs", "netns", str(other.pid))
for side, link, number in (((), "ours", 1), (there, "theirs", 2)):
    run(*side, "ip", "address", "add", f"10.9.0.{number}/24", "dev", link)
    run(*side, "ip", "address", "add", f"fd09::{number}/64", "dev", link, "nodad")
    run(*side, "ip", "link", "set", link, "up")

worker = bind(sys.argv[1], 0)
worker.settimeout(1)
say = sys.executable, "-c", SAY
port = str(worker.getsockname()[1])
run(*there, *say, "neighbour", port, "10.9.0.1", "fd09::1")
run(*say, "self", port, "10.9.0.1", "fd09::1", "127.0.0.1", "::1")
with suppress(TimeoutError):
    while True:
        print(worker.recv(100).decode())
other.stdin.close()
other.wait(10)
"""


@pytest.fixture(scope="module")
def namespaces() -> list[str]:
    """How to run a command in a network of its own."""
    command = ["unshare", "--user", "--map-root-user", "--net"]
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        pytest.skip("no unshare, nsenter or ip here")
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make a network namespace")
    return command


@pytest.mark.parametrize(
    ("host", "heard"),
    [
        (THIS_MACHINE, LOOPBACK | OWN),
        ("::", LOOPBACK | OWN | NETWORK),
    ],
)
def test_the_network_is_kept_out_of_a_worker_for_this_machine(
    namespaces: list[str], host: str, heard: set[str]
) -> None:
    done = subprocess.run(
        [*namespaces, sys.executable, "-c", NEIGHBOURS, host],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()) == heard


def test_without_ipv6_it_listens_by_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_ipv6(family: int, kind: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "no such family")
        return made(family, kind)

    made = socket.socket
    monkeypatch.setattr(addresses.socket, "socket", no_ipv6)
    with bind(THIS_MACHINE, 0) as sock:
        assert sock.getsockname()[0] == "0.0.0.0"


def test_where_the_network_cannot_be_kept_out_it_is_loopback_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOPROTOOPT, "no such option")

    monkeypatch.setattr(addresses, "_filter", refused)
    with bind(THIS_MACHINE, 0) as sock:
        host, port = sock.getsockname()[:2]
        assert announced(host, port, []) == [("127.0.0.1", port)]


def test_a_taken_port_is_not_hidden_by_another_way_to_listen() -> None:
    with bind("0.0.0.0", 0) as holder, pytest.raises(OSError, match="in use"):
        bind(THIS_MACHINE, holder.getsockname()[1])


async def test_a_machine_that_moves_to_another_network_is_found_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = ["192.0.2.8"]
    monkeypatch.setattr(addresses, "get_host_addresses", lambda **_: list(own))
    worker = Worker(Settings(media_host=THIS_MACHINE), "redis://127.0.0.1:1", 0)
    try:
        assert [host for host, _ in worker.endpoint.candidates] == ["192.0.2.8", "127.0.0.1"]
        own[:] = ["198.51.100.8"]
        worker.look_around(0)
        assert [host for host, _ in worker.endpoint.candidates] == ["198.51.100.8", "127.0.0.1"]
    finally:
        await worker.close()


def test_a_machine_without_another_address_announces_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses, "get_host_addresses", lambda **_: ["127.0.1.1"])
    with bind(THIS_MACHINE, 0) as sock:
        host, port = sock.getsockname()[:2]
        assert announced(host, port, []) == [("127.0.0.1", port)]
