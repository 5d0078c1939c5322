"""The `parley` command as a user types it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from conference.tokens import load_secret, user_id_for
from config.settings import Settings


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


@pytest.mark.parametrize("command", ["api", "sfu", "migrate"])
def test_without_servers_it_says_what_to_set(command: str, tmp_path: Path) -> None:
    done = parley(command, data_dir=tmp_path)
    assert done.returncode == 1
    assert "PARLEY_DATABASE_URL" in done.stderr
    assert "parley up" in done.stderr
    assert "Traceback" not in done.stderr


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
            assert done.returncode == 1
            assert f"port {port}: Address already in use" in done.stderr
            assert "Traceback" not in done.stderr


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
            PARLEY_MEDIA_ANNOUNCED="0.0.0.0",
        )
    assert code == 1
    for check in ("http port", "announced address", "schema", "redis"):
        assert levels[check] == "fail", check


def test_doctor_before_the_first_start_prints_lines(tmp_path: Path) -> None:
    done = parley("doctor", data_dir=tmp_path, PARLEY_HTTP_PORT="0", PARLEY_MEDIA_PORT="0")
    assert done.returncode == 0
    assert "ok    database: embedded, not running" in done.stdout
    assert "Traceback" not in done.stderr


def test_doctor_names_a_setting_that_is_wrong(tmp_path: Path) -> None:
    code, levels = doctor(tmp_path, PARLEY_NATIVE="maybe")
    assert (code, levels) == (1, {"settings": "fail"})
