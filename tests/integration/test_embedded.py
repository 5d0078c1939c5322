"""The embedded servers: start, stop, crash, leftovers, long paths."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
import redis

from conference.machine.embedded import (
    EmbeddedError,
    PostgresServer,
    ValkeyServer,
    privileges,
    sockets,
)
from conference.machine.embedded.process import wait_until


def query(url: str, text: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await connection.fetchval(text)
        finally:
            await connection.close()

    return asyncio.run(ask())


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Socket directories that replace long paths go where they can be removed."""
    with tempfile.TemporaryDirectory(prefix="parley-") as path:
        monkeypatch.setenv("XDG_RUNTIME_DIR", path)
        yield


def ended(pid: int, within: float = 10.0) -> bool:
    """No such process any more (a zombie that its adopter has not reaped yet counts as ended)."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_postgres_keeps_committed_rows_over_a_kill(
    private_postgres: Callable[[], PostgresServer],
) -> None:
    server = private_postgres()
    query(server.url, "create table kept as select 42 as answer")
    server.kill()
    assert not server.running()
    server.start()
    assert query(server.url, "select answer from kept") == 42


def test_postgres_start_is_idempotent_and_stop_leaves_nothing(
    private_postgres: Callable[[], PostgresServer],
) -> None:
    server = private_postgres()
    pid = server.pid
    assert pid is not None
    server.start()
    assert server.pid == pid
    server.stop()
    assert ended(pid)
    server.stop()
    server.start()
    assert server.pid != pid
    assert query(server.url, "select 1") == 1


def test_valkey_keeps_what_it_has_written_over_a_kill(
    private_valkey: Callable[[], ValkeyServer],
) -> None:
    server = private_valkey()
    with redis.Redis.from_url(server.url) as client:
        client.xadd("stream", {"a": "b"})
    server.kill()
    with pytest.raises(redis.ConnectionError), redis.Redis.from_url(server.url) as client:
        client.ping()
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.xlen("stream") == 1


OWNER = """
import sys, time
from pathlib import Path
from conference.machine.embedded import PostgresServer, ValkeyServer
servers = [PostgresServer(Path(sys.argv[1])), ValkeyServer(Path(sys.argv[1]))]
for server in servers:
    server.start()
print(*(server.pid for server in servers), flush=True)
time.sleep(120)
"""


def start_owner(path: Path) -> tuple[subprocess.Popen[str], list[int]]:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, path], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    return owner, [int(pid) for pid in owner.stdout.readline().split()]


def test_servers_end_with_a_killed_owner_and_start_again(tmp_path: Path) -> None:
    owner, pids = start_owner(tmp_path)
    assert len(pids) == 2
    owner.kill()
    owner.wait(10)
    assert all(ended(pid) for pid in pids)
    again, _ = start_owner(tmp_path)
    again.kill()
    again.wait(10)


def test_a_leftover_server_is_ended_first(tmp_path: Path) -> None:
    """One that the kernel did not end with its owner: here its owner lives on, which comes to the same."""
    first = PostgresServer(tmp_path, durable=False)
    second = PostgresServer(tmp_path, durable=False)
    first.start()
    left = first.pid
    assert left is not None
    try:
        query(first.url, "create table kept as select 1")
        second.start()
        assert second.pid != left
        assert not first.running()
        assert query(second.url, "select count(*) from kept") == 1
    finally:
        first.stop()
        second.stop()


async def hold_backend(url: str) -> int:
    """Stop one, so that it can't notice its postmaster's end."""
    held = await asyncpg.connect(url, timeout=10)
    backend: int = await held.fetchval("select pg_backend_pid()")
    os.kill(backend, signal.SIGSTOP)
    held.terminate()
    return backend


def test_backends_of_a_killed_postmaster_are_ended_first(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path, durable=False)
    server.start()
    backend = asyncio.run(hold_backend(server.url))
    try:
        server.kill()
        assert not ended(backend, 0.1)
        server.start()
        assert ended(backend, 0.1)
        assert query(server.url, "select 1") == 1
    finally:
        server.stop()


def test_a_lock_file_that_names_a_stranger_is_no_obstacle(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path, durable=False)
    server.start()
    lock = tmp_path / "postgres" / "data" / "postmaster.pid"
    lines = lock.read_text().splitlines(keepends=True)
    server.kill()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        lock.write_text("".join([f"{stranger.pid}\n", *lines[1:]]))
        try:
            server.start()
            assert stranger.poll() is None
            assert query(server.url, "select 1") == 1
        finally:
            server.stop()
            stranger.kill()


def test_a_leftover_valkey_is_ended_first(tmp_path: Path) -> None:
    first, second = ValkeyServer(tmp_path), ValkeyServer(tmp_path)
    first.start()
    try:
        second.start()
        assert not first.running()
        assert second.running()
    finally:
        first.stop()
        second.stop()


def test_long_and_strange_paths(tmp_path: Path) -> None:
    path = tmp_path / ("a long, strange 100% path " * 5).strip()
    postgres, valkey = PostgresServer(path, durable=False), ValkeyServer(path)
    try:
        postgres.start()
        valkey.start()
        assert query(postgres.url, "select 1") == 1
        with redis.Redis.from_url(valkey.url) as client:
            assert client.ping()
    finally:
        postgres.stop()
        valkey.stop()


def test_a_strange_path_that_is_short() -> None:
    with tempfile.TemporaryDirectory(prefix="p,%20 \"'") as path:
        postgres = PostgresServer(Path(path), durable=False)
        try:
            postgres.start()
            assert query(postgres.url, "select 1") == 1
        finally:
            postgres.stop()


def test_socket_directory_is_private(tmp_path: Path) -> None:
    path = sockets.socket_dir(tmp_path / "run")
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_stand_in_that_is_someone_elses_link_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    long = tmp_path / ("x" * 120)
    stand_in = sockets.socket_dir(long)
    stand_in.rmdir()
    (tmp_path / "elsewhere").mkdir()
    stand_in.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EmbeddedError, match="must be a directory"):
        sockets.socket_dir(long)


def test_the_log_is_in_the_error_of_a_server_that_does_not_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("could not bind\n")
    with (
        subprocess.Popen(["false"]) as process,
        pytest.raises(EmbeddedError, match="could not bind"),
    ):
        wait_until(lambda: False, process, log, 10, "Server")


only_root = pytest.mark.skipif(os.geteuid() != 0, reason="root is special only to root")


@pytest.fixture
def no_namespaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    privileges.disguise.cache_clear()
    monkeypatch.setattr(privileges, "_namespace", lambda account: ("false",))
    yield
    privileges.disguise.cache_clear()


@only_root
def test_root_without_namespaces_uses_an_ordinary_account(
    tmp_path: Path, no_namespaces: None
) -> None:
    tmp_path.chmod(0o700)  # a folder that the account itself could not enter
    for count in (1, 2):  # each start is a new process's: nothing is remembered
        server = PostgresServer(tmp_path, durable=False)
        server.start()
        try:
            query(server.url, f"create table kept_{count} as select 1")
            assert server.pid is not None
            assert Path(f"/proc/{server.pid}").stat().st_uid != 0
        finally:
            server.stop()


@only_root
def test_data_made_either_way_is_usable_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_and_count() -> object:
        privileges.disguise.cache_clear()
        server = PostgresServer(tmp_path, durable=False)
        server.start()
        try:
            query(server.url, "create table if not exists kept as select 1 as one")
            return query(server.url, "select count(*) from kept")
        finally:
            server.stop()

    assert start_and_count() == 1
    with monkeypatch.context() as patch:
        patch.setattr(privileges, "_namespace", lambda account: ("false",))
        assert start_and_count() == 1
    assert start_and_count() == 1


@only_root
def test_root_in_anothers_private_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 4321, 4321)
    tmp_path.chmod(0o700)
    server = PostgresServer(tmp_path / "var", durable=False)
    server.start()
    try:
        assert query(server.url, "select 1") == 1
    finally:
        server.stop()


@only_root
def test_when_nothing_works_it_says_what_to_do(
    tmp_path: Path, no_namespaces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privileges, "_account_prefix", lambda account: ("false",))
    with pytest.raises(EmbeddedError, match="PARLEY_DATABASE_URL"):
        PostgresServer(tmp_path, durable=False).start()
