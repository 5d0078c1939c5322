from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import OctKey

from conference.tokens import issue, known_secret, load_secret, user_id_for, user_named
from config.settings import Settings, SettingsError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = "a secret of thirty-two characters"


def test_a_name_is_always_the_same_user() -> None:
    assert user_id_for("alice") == user_id_for(" Alice ") != user_id_for("bob")
    assert user_id_for("alice").version == 5


@pytest.mark.parametrize(
    ("given", "name", "email"),
    [("alice", "Alice", "alice@example.com"), ("bob", "Bob", "bob@example.com")],
)
def test_a_short_name_gives_name_and_address(given: str, name: str, email: str) -> None:
    user = user_named(given)
    assert (user.id, user.name, user.email) == (user_id_for(given), name, email)


def test_a_uuid_is_taken_as_the_id() -> None:
    given = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
    assert user_named(given, display="Carol").id == UUID(given)


def test_claims() -> None:
    token = issue(
        SECRET,
        user=user_named("alice", org="acme"),
        permissions=["session_create", "x"],
        scope=["meetings.read", "meetings.write"],
        now=NOW,
        lifetime=timedelta(hours=1),
    )
    claims = jwt.decode(token, OctKey.import_key(SECRET), algorithms=["HS256"]).claims
    assert claims == {
        "sub": str(user_id_for("alice")),
        "name": "Alice",
        "email": "alice@example.com",
        "org": "acme",
        "permissions": ["session_create", "x"],
        "scope": "meetings.read meetings.write",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 3600,
    }
    with pytest.raises(BadSignatureError):
        jwt.decode(token, OctKey.import_key(SECRET + "x"), algorithms=["HS256"])


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "var")
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: load_secret(settings), range(16)))
    assert len(made) == 1
    assert len(made.pop()) >= 32
    assert os.listdir(tmp_path / "var") == ["jwt-secret"]
    assert (tmp_path / "var" / "jwt-secret").stat().st_mode & 0o777 == 0o600


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    assert known_secret(Settings(data_dir=tmp_path)) is None
    assert not list(tmp_path.iterdir())


def test_a_kept_secret_that_was_shortened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jwt-secret").write_text("short\n")
    with pytest.raises(SettingsError, match="too short"):
        load_secret(Settings(data_dir=tmp_path))


def test_the_setting_comes_first(tmp_path: Path) -> None:
    assert load_secret(Settings(data_dir=tmp_path, jwt_secret=SECRET)) == SECRET
    assert not list(tmp_path.iterdir())
