"""`parley user profile` and `parley user photo` as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path

import asyncpg
import pytest
from test_cli import parley

from conference.tokens import user_id_for
from conference.ucwa.people import identicon


@pytest.fixture
def alice(database_url: str, tmp_path: Path) -> dict[str, str]:
    settings = {"PARLEY_DATABASE_URL": database_url}
    assert parley("user", "add", "alice", data_dir=tmp_path, **settings).returncode == 0
    return settings


def test_a_profile_is_changed_in_part(alice: dict[str, str], tmp_path: Path) -> None:
    first = parley(
        *("user", "profile", "alice", "--title", "Engineer", "--work", "+1 (425) 555-4321"),
        data_dir=tmp_path,
        **alice,
    )
    assert first.returncode == 0, first.stderr
    second = parley(
        "user", "profile", "alice", "--department", "R&D", "--title", "", data_dir=tmp_path, **alice
    )
    assert json.loads(second.stdout) == {
        "title": "",
        "department": "R&D",
        "company": "",
        "officeLocation": "",
        "phones": {"Work": {"number": "tel:+14255554321", "includeInContactCard": True}},
    }


def test_profiles_that_cannot_be(alice: dict[str, str], tmp_path: Path) -> None:
    unknown = parley("user", "profile", "bob", "--title", "x", data_dir=tmp_path, **alice)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "parley user add bob" in unknown.stderr
    wrong = parley("user", "profile", "alice", "--home", "call me", data_dir=tmp_path, **alice)
    assert wrong.returncode == 1
    assert "no phone number" in wrong.stderr


async def test_a_photo_is_given_and_taken_away(
    alice: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    picture = tmp_path / "alice.png"
    picture.write_bytes(identicon.png("somebody else", 96))
    assert (
        parley("user", "photo", "alice", str(picture), data_dir=tmp_path, **alice).returncode == 0
    )
    assert await kept(database_url) == ("image/png", picture.read_bytes())
    assert parley("user", "photo", "alice", "--remove", data_dir=tmp_path, **alice).returncode == 0
    assert await kept(database_url) is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"GIF89a", "neither JPEG nor PNG"), (b"\xff\xd8\xff" + bytes(256 * 1024), "256 KiB")],
)
def test_photos_that_cannot_be(
    alice: dict[str, str], tmp_path: Path, content: bytes, complaint: str
) -> None:
    picture = tmp_path / "picture"
    picture.write_bytes(content)
    done = parley("user", "photo", "alice", str(picture), data_dir=tmp_path, **alice)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert parley("user", "photo", "alice", data_dir=tmp_path, **alice).returncode == 1


async def kept(database_url: str) -> tuple[str, bytes] | None:
    connection = await asyncpg.connect(database_url)
    try:
        row = await connection.fetchrow(
            "select content_type, content from photos where user_id = $1", user_id_for("alice")
        )
    finally:
        await connection.close()
    return None if row is None else (row["content_type"], row["content"])
