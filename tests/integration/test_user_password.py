"""`parley user password` as an operator types it, and pipes it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from test_cli import parley

from conference import passwords


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    settings = {"PARLEY_DATABASE_URL": database_url}
    assert parley("user", "add", "alice", data_dir=tmp_path, **settings).returncode == 0
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    return {**kept, "PARLEY_DATA_DIR": str(tmp_path), **settings}


def piped(environment: dict[str, str], name: str, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "conference", "user", "password", name],
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def kept(database_url: str) -> list[str]:
    connection = await asyncpg.connect(database_url)
    try:
        return [row["hash"] for row in await connection.fetch("select hash from passwords")]
    finally:
        await connection.close()


async def test_a_password_is_piped_in_and_changed(
    environment: dict[str, str], database_url: str
) -> None:
    first = piped(environment, "alice", "correct horse\n")
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    (hashed,) = await kept(database_url)
    assert passwords.matches("correct horse", hashed)
    assert piped(environment, "alice", "another horse").returncode == 0
    (hashed,) = await kept(database_url)
    assert passwords.matches("another horse", hashed)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("alice", "short\n", "8 to 1024 characters"),
        ("alice", "", "8 to 1024 characters"),
        ("alice", "x" * 1025, "8 to 1024 characters"),
        ("bob", "correct horse\n", "parley user add bob"),
    ],
)
async def test_what_is_no_password(
    environment: dict[str, str], database_url: str, name: str, text: str, message: str
) -> None:
    done = piped(environment, name, text)
    assert done.returncode == 1
    assert message in done.stderr
    assert await kept(database_url) == []


@pytest.mark.parametrize(("again", "code"), [("correct horse", 0), ("another horse", 1)])
def test_a_terminal_is_asked_twice_and_shows_nothing(
    environment: dict[str, str], again: str, code: int
) -> None:
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "conference", "user", "password", "alice"],
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        shown = _until(master, b"Password: ")
        os.write(master, b"correct horse\n")
        shown += _until(master, b"Once more: ")
        os.write(master, again.encode() + b"\n")
        assert process.wait(60) == code
    finally:
        os.close(master)
    assert b"horse" not in shown


def _until(terminal: int, prompt: bytes) -> bytes:
    shown = b""
    while prompt not in shown:
        shown += os.read(terminal, 1000)
    return shown
