from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Settings, SettingsError, load, shown


def test_defaults() -> None:
    assert load({"PATH": "/bin"}) == Settings()


def test_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "parley.toml"
    file.write_text(
        'http_port = 9000\nmedia_port = 9001\nmedia_announced = ["192.0.2.1", "2001:db8::1"]\n'
    )
    settings = load({"PARLEY_CONFIG": str(file), "PARLEY_HTTP_PORT": "9100"})
    assert settings.http_port == 9100
    assert settings.media_port == 9001
    assert settings.media_announced == ["192.0.2.1", "2001:db8::1"]
    assert settings.http_host == "127.0.0.1"


@pytest.mark.parametrize(
    ("variable", "value", "field", "read"),
    [
        (
            "PARLEY_MEDIA_ANNOUNCED",
            "192.0.2.1,2001:db8::1",
            "media_announced",
            ["192.0.2.1", "2001:db8::1"],
        ),
        ("PARLEY_DATA_DIR", "/srv/parley", "data_dir", Path("/srv/parley")),
        ("PARLEY_POLL_TIMEOUT", "2.5", "poll_timeout", 2.5),
        ("PARLEY_NATIVE", "off", "native", "off"),
        ("PARLEY_DATABASE_URL", "postgresql://db/parley", "database_url", "postgresql://db/parley"),
    ],
)
def test_environment_values_are_converted(
    variable: str, value: str, field: str, read: object
) -> None:
    assert getattr(load({variable: value}), field) == read


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"PARLEY_HTTP_PROT": "1"}, "PARLEY_HTTP_PROT"),
        ({"PARLEY_HTTP_PORT": "70000"}, "http_port"),
        ({"PARLEY_HTTP_PORT": "eighty"}, "http_port"),
        ({"PARLEY_NATIVE": "maybe"}, "native"),
        ({"PARLEY_POLL_TIMEOUT": "0"}, "poll_timeout"),
        ({"PARLEY_CHANNEL_CAP": "3"}, "channel_cap"),
        ({"PARLEY_JWT_SECRET": "x" * 31}, "JWT_SECRET has 31 bytes"),
        ({"PARLEY_JWT_SECRET": ""}, "JWT_SECRET has 0 bytes"),
        ({"PARLEY_CONFIG": "/nowhere/parley.toml"}, "/nowhere/parley.toml"),
    ],
)
def test_what_is_wrong_is_named(environ: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load(environ)


@pytest.mark.parametrize(
    ("text", "says"),
    [("htp_port = 1", "htp_port"), ("http_port = ", "not TOML"), ("data_dir = 1", "data_dir")],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "parley.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=says):
        load({"PARLEY_CONFIG": str(file)})


def test_secrets_are_not_shown() -> None:
    view = shown(Settings(jwt_secret="hush", database_url="postgresql://alice:hush@db/parley"))
    assert "hush" not in repr(view)
    assert view["jwt_secret"] == view["database_url"] == "***"
    assert view["redis_url"] is None
    assert view["http_port"] == 8080


def test_every_setting_is_in_the_operations_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    missing = [
        name for name in Settings.__struct_fields__ if f"`PARLEY_{name.upper()}`" not in page
    ]
    assert not missing
