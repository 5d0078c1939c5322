from __future__ import annotations

import os
import resource
import socket
from pathlib import Path

import pytest

from conference.machine.announcing import addresses, announced
from conference.machine.doctor import (
    clock,
    eviction,
    files,
    native,
    redis_version,
    secret,
    udp_buffers,
    workers,
)
from conference.machine.ports import free, used_by
from config.settings import THIS_MACHINE, Settings
from schemas.sfu import WorkerRecord


@pytest.mark.parametrize(
    ("http", "media", "told", "level"),
    [
        ("127.0.0.1", "127.0.0.1", [], "ok"),
        ("localhost", "::1", [], "ok"),
        ("0.0.0.0", "127.0.0.1", [], "warn"),  # others reach the page and send media nowhere
        ("0.0.0.0", "0.0.0.0", [], "warn"),  # which address, nobody knows
        ("0.0.0.0", "192.0.2.1", [], "ok"),
        ("0.0.0.0", "0.0.0.0", ["192.0.2.1", "2001:db8::1"], "ok"),
        ("0.0.0.0", "0.0.0.0", ["127.0.0.1"], "warn"),
        ("127.0.0.1", "0.0.0.0", ["127.0.0.1"], "ok"),
        ("0.0.0.0", "127.0.0.1", ["192.0.2.1"], "warn"),
        ("127.0.0.1", THIS_MACHINE, [], "ok"),
        ("0.0.0.0", THIS_MACHINE, [], "warn"),
        ("0.0.0.0", THIS_MACHINE, ["192.0.2.1"], "warn"),
    ],
)
def test_announced_addresses(http: str, media: str, told: list[str], level: str) -> None:
    finding = announced(Settings(http_host=http, media_host=media, media_announced=told))
    assert (finding.level, bool(finding.advice)) == (level, level != "ok")


def test_what_up_and_sfu_announce_is_said_of_each() -> None:
    as_up = Settings(media_host=THIS_MACHINE)
    of_up, of_sfu = addresses(Settings(), as_up)
    assert "`parley up`" in of_up.check
    assert "127.0.0.1" in of_up.found
    assert "this machine only" in of_up.found
    assert "`parley sfu`" in of_sfu.check
    assert [each.check for each in addresses(as_up, as_up)] == ["announced address"]


@pytest.mark.parametrize(
    ("ahead", "level", "says"),
    [
        (0.2, "ok", "200 ms"),
        (-1.0, "ok", "1000 ms"),
        (2.5, "fail", "2.5 s ahead"),
        (-60, "fail", "behind"),
    ],
)
def test_clocks(ahead: float, level: str, says: str) -> None:
    finding = clock("redis", ahead)
    assert finding.level == level
    assert says in finding.found


@pytest.mark.parametrize(
    ("limit", "level"),
    [(256, "fail"), (1024, "warn"), (65536, "ok"), (resource.RLIM_INFINITY, "ok")],
)
def test_file_limits(limit: int, level: str) -> None:
    assert files(limit).level == level


def test_udp_buffers(tmp_path: Path) -> None:
    (tmp_path / "rmem_max").write_text("212992\n")
    (tmp_path / "wmem_max").write_text("8388608\n")
    small, large = udp_buffers(tmp_path)
    assert (small.level, large.level) == ("warn", "ok")
    assert "net.core.rmem_max" in small.advice
    assert [finding.level for finding in udp_buffers(tmp_path / "none")] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("wanted", "origin", "level"),
    [
        ("auto", "native.so", "ok"),
        ("auto", None, "warn"),
        ("on", None, "fail"),
        ("on", "native.so", "ok"),
        ("off", "native.so", "ok"),
        ("off", None, "ok"),
    ],
)
def test_packet_path(wanted: str, origin: str | None, level: str) -> None:
    assert native(wanted, origin).level == level  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("info", "level", "name"),
    [
        ({"redis_version": "7.2.4", "valkey_version": "8.1.8"}, "ok", "Valkey 8.1.8"),
        ({"redis_version": "6.2.0"}, "ok", "Redis 6.2.0"),
        ({"redis_version": "6.0.16"}, "fail", "Redis 6.0.16"),
    ],
)
def test_redis_versions(info: dict[str, str], level: str, name: str) -> None:
    finding = redis_version(info, "db:6379")
    assert finding.level == level
    assert name in finding.found


def test_eviction() -> None:
    assert eviction("noeviction").level == "ok"
    assert eviction("allkeys-lru").level == "warn"


def test_workers() -> None:
    record = WorkerRecord(
        id="w1",
        pid=1,
        load=0.25,
        meetings=2,
        peers=4,
        draining=True,
        native=False,
        media=["192.0.2.1:7882"],
    )
    assert workers([]).level == "warn"
    said = "w1 (pure Python, 2 meetings, load 25%, draining; announces 192.0.2.1:7882)"
    assert workers([record]).found == said


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        (Settings(), "ok"),
        (Settings(jwt_secret="short"), "warn"),
        (Settings(jwt_secret="x" * 32), "ok"),
        (Settings(jwks_url="https://id.example.com/keys"), "ok"),
    ],
)
def test_secrets(settings: Settings, level: str) -> None:
    finding = secret(settings)
    assert finding.level == level
    assert not settings.jwt_secret or settings.jwt_secret not in repr(finding)


def test_ports_and_their_holders() -> None:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(("127.0.0.1", 0))
        for kind, holder in (("tcp", tcp), ("udp", udp)):
            port = holder.getsockname()[1]
            assert not free(kind, "127.0.0.1", port)  # type: ignore[arg-type]
            assert used_by(kind, port).startswith(f"process {os.getpid()} ")  # type: ignore[arg-type]
    assert free("tcp", "127.0.0.1", 0)
    assert free("udp", "::", 0)


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(OSError, match=r"."):
        free("tcp", "192.0.2.250", 8080)
