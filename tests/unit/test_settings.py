from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import SECRETS, THIS_MACHINE, Settings, SettingsError, load, shown


def test_defaults() -> None:
    assert load({"PATH": "/bin"}) == Settings()


def test_a_poll_that_says_nothing_is_answered_before_a_proxy_gives_it_up() -> None:
    nginx_waits = 60  # proxy_read_timeout, when nobody sets it
    assert Settings().poll_timeout <= nginx_waits - 10


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
    ("variable", "value", "wanted"),
    [
        ("HTTP_PORT", "70000", "a whole number from 0 up to 65535"),
        ("HTTP_PORT", "eighty", "a whole number from 0 up to 65535"),
        ("HTTP_PORT", "", "a whole number from 0 up to 65535"),
        ("NATIVE", "maybe", "one of auto, on, off"),
        ("POLL_TIMEOUT", "0", "a number of seconds above 0 up to 1000000000"),
        ("POLL_TIMEOUT", "nan", "a number of seconds above 0"),
        ("POLL_TIMEOUT", "inf", "a number of seconds above 0"),
        ("CHANNEL_CAP", "3", "a whole number from 16"),
        ("UCWA_STRICT_PUT", "maybe", "true or false"),
        ("UCWA_ACCESS_LEVELS", "Everyone,Nobody", "one of Everyone, SameEnterprise"),
        ("HTTP_HOST", "999.1.1.1", "an IP address or a name of this machine"),
        ("HTTP_HOST", "http://localhost", "an IP address or a name of this machine"),
        ("HTTP_HOST", "127.0.0.1:8080", "an IP address or a name of this machine"),
        ("HTTP_HOST", "", "an IP address or a name of this machine"),
        ("MEDIA_HOST", "999.1.1.1", "an IP address of this machine"),
        ("MEDIA_HOST", "media.example", "an IP address of this machine"),
        ("MEDIA_ANNOUNCED", "192.0.2.1,media.example", "IP addresses that clients can send to"),
        ("MEDIA_ANNOUNCED", "192.0.2.1,0.0.0.0", "IP addresses that clients can send to"),
        ("MEDIA_ANNOUNCED", "224.0.0.1", "IP addresses that clients can send to"),
        ("PUBLIC_URL", "meet.example.com", "http:// or https://, a host"),
        ("PUBLIC_URL", "ftp://meet.example.com", "http:// or https://, a host"),
        ("PUBLIC_URL", "https://", "http:// or https://, a host"),
        ("PUBLIC_URL", "https://:443", "http:// or https://, a host"),
        ("PUBLIC_URL", "https://meet.example.com:https", "http:// or https://, a host"),
        ("PUBLIC_URL", "https://meet.example.com/parley", "http:// or https://, a host"),
        ("PUBLIC_URL", "https://meet.example.com?x=1", "http:// or https://, a host"),
        ("PUBLIC_URL", "https://alice@meet.example.com", "http:// or https://, a host"),
        ("PUBLIC_URL", "https://[::1", "http:// or https://, a host"),
        ("REDIS_URL", "127.0.0.1:6379", "redis://host:port/0"),
        ("REDIS_URL", "http://db:6379", "redis://host:port/0"),
        ("REDIS_URL", "redis://db:sixthousand", "redis://host:port/0"),
        ("REDIS_URL", "redis://db/first", "redis://host:port/0"),
        ("REDIS_URL", "unix://db", "redis://host:port/0"),
        ("DATABASE_URL", "db", "postgresql://user:password@host:port/database"),
        ("DATABASE_URL", "mysql://db/parley", "postgresql://"),
        ("DATABASE_URL", "postgresql://db:port/parley", "postgresql://"),
        ("JWKS_URL", "id.example.com/keys", "an http:// or https:// address"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_it_must_be(
    variable: str, value: str, wanted: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        load({f"PARLEY_{variable}": value})
    said = str(refused.value)
    assert said.startswith(f"PARLEY_{variable} must be {wanted}"), said
    if variable.lower() in SECRETS:
        assert value not in said
    else:
        assert said.endswith(f"; it is {value!r}")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_HOST", "localhost"),
        ("HTTP_HOST", "::"),
        ("HTTP_HOST", "meet-1.example.com"),
        ("MEDIA_HOST", "fe80::1%eth0"),
        ("MEDIA_HOST", THIS_MACHINE),
        ("PUBLIC_URL", "https://meet.example.com/"),
        ("PUBLIC_URL", "http://[2001:db8::1]:8080"),
        ("REDIS_URL", "redis://alice:secret@db:6379/2"),
        ("REDIS_URL", "rediss://db"),
        ("REDIS_URL", "unix:///run/valkey.sock?db=1"),
        ("DATABASE_URL", "postgresql://one:5432,two:5432/parley"),
        ("DATABASE_URL", "postgresql:///parley?host=/run/postgresql"),
    ],
)
def test_values_that_can_be(variable: str, value: str) -> None:
    assert getattr(load({f"PARLEY_{variable}": value}), variable.lower()) == value


def test_an_optional_setting_that_is_empty_is_not_set() -> None:
    assert load({"PARLEY_DATABASE_URL": "", "PARLEY_PUBLIC_URL": ""}) == Settings()


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"PARLEY_HTTP_PROT": "1"}, "PARLEY_HTTP_PROT"),
        ({"PARLEY_JWT_SECRET": "x" * 31}, "JWT_SECRET has 31 bytes"),
        ({"PARLEY_JWT_SECRET": ""}, "JWT_SECRET has 0 bytes"),
        ({"PARLEY_CONFIG": "/nowhere/parley.toml"}, "/nowhere/parley.toml"),
    ],
)
def test_what_is_unknown_is_named(environ: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load(environ)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("htp_port = 1", "htp_port"),
        ("http_port = ", "not TOML"),
        ("data_dir = 1", "parley.toml: data_dir must be a path; it is 1"),
        ('http_port = "eighty"', "parley.toml: http_port must be a whole number"),
        ('http_host = "999.1.1.1"', "parley.toml: http_host must be an IP address"),
        ("public_url = 8080", "parley.toml: public_url must be a text"),
    ],
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
