"""Settings: environment over TOML over defaults. An unknown key is refused by its name; secrets are never shown.

The environment's `PARLEY_HTTP_PORT` and the TOML file's `http_port` (file named by `PARLEY_CONFIG`) are the
same setting. Lists are written with commas in the environment and as arrays in TOML.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import msgspec

from config.values import RULES, THIS_MACHINE, in_words

__all__ = ["THIS_MACHINE", "Settings", "SettingsError", "load", "shown"]

PREFIX = "PARLEY_"
CONFIG_VARIABLE = "PARLEY_CONFIG"
SECRET_SHORTEST = 32
"""Bytes: an HS256 key is at least as long as the hash (RFC 7518 section 3.2)."""
SECRETS = frozenset({"jwt_secret", "ops_token", "database_url", "redis_url"})

UCWA_SCOPES = (
    "Conversations.Initiate",
    "Conversations.Receive",
    "Meetings.ReadWrite",
    "User.ReadWrite",
    "Contacts.ReadWrite",
)

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=1_000_000_000)]
AccessLevel = Literal["Everyone", "SameEnterprise", "Invited", "Locked"]
LeaderAssignment = Literal["Disabled", "SameEnterprise", "Everyone"]
Announcement = Literal["Unsupported", "Disabled", "Enabled"]


class SettingsError(ValueError):
    """A setting is unknown or malformed; the text names it and says what it should be."""


class Given(msgspec.Struct, frozen=True):
    """What somebody wrote, and where."""

    place: str
    written: object
    value: object


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting, with its default. docs/operations.md lists them with their meaning."""

    # HTTP
    http_host: str = "127.0.0.1"
    http_port: Port = 8080
    public_url: str | None = None
    """Where clients reach this domain, when a proxy stands in front; default http://host:port."""
    body_limit: int = 1 << 20
    read_timeout: Seconds = 30.0
    """A client that takes longer for a request's head, or for its body, gets 408."""

    # media
    media_host: str = "0.0.0.0"
    """The address of the worker's socket, or THIS_MACHINE."""
    media_port: Port = 7882
    media_announced: list[str] = []
    """Addresses put into SDP, IPv4 or IPv6; default: media_host, or this machine's own when that is a wildcard."""
    native: Literal["auto", "on", "off"] = "auto"
    peer_timeout: Seconds = 20.0
    """A connection that is silent for this long is closed."""
    drain_timeout: Seconds = 3600.0

    # storage
    data_dir: Path = Path("var")
    database_url: str | None = None
    """Default: the embedded PostgreSQL under data_dir."""
    redis_url: str | None = None
    """Default: the embedded Valkey under data_dir."""
    database_connections: Annotated[int, msgspec.Meta(ge=1)] = 10
    """Of one API process."""

    # who may come in
    jwt_secret: str | None = None
    """HS256 secret; default: one made at first start and kept in data_dir."""
    jwks_url: str | None = None
    token_lifetime_max: Seconds = 2_592_000.0
    """A token that says otherwise, or not at all, does not hold for longer than this after it was issued."""

    ops_token: Annotated[str, msgspec.Meta(min_length=16)] | None = None
    """Opens the figures and the details of readiness; without it, and without a public_url, this machine may ask."""

    # channels
    poll_timeout: Seconds = 50.0
    """Less than the 60 s after which a proxy gives up by itself (nginx, proxy_read_timeout)."""
    poll_timeout_max: Seconds = 1800.0
    channel_idle: Seconds = 900.0
    """A channel that nobody reads for this long expires."""
    channel_grace: Seconds = 30.0
    """A participant whose channel nobody reads for this long leaves."""
    channels_max: Annotated[int, msgspec.Meta(ge=1)] = 1000
    """A user's channels at one time, those of UCWA's instances among them."""
    channel_cap: Annotated[int, msgspec.Meta(ge=16)] = 1000
    """Events a channel holds; more, and its reader is told to resync."""

    # meetings
    meetings_max: Annotated[int, msgspec.Meta(ge=1)] = 1000
    """Of one owner, those of UCWA not among them."""
    sweep_interval: Seconds = 5.0
    meeting_unused: Seconds = 3600.0
    """A running meeting with nobody in it stops after this long."""
    command_timeout: Seconds = 5.0
    """How long an API process waits for a worker's reply."""

    # UCWA
    ucwa_strict_put: bool = False
    """Whether a PUT needs If-Match and the resource's PUT token; the published samples have neither."""
    ucwa_default_scopes: list[str] = msgspec.field(default_factory=lambda: list(UCWA_SCOPES))
    """Of a token that names none (RFC 6749 section 3.3)."""
    ucwa_answer_within: Seconds = 30.0
    """A request that is no pending GET is given up after this long (504), and one whose body is not there (408)."""
    ucwa_token_lifetime: Seconds = 28_800.0
    """Of tokens given out for a password."""
    ucwa_anonymous_token_lifetime: Seconds = 3600.0
    """Of tokens given out for one meeting."""

    ucwa_applications_max: Annotated[int, msgspec.Meta(ge=1)] = 20
    """A user's applications; one more, and the least recently used ends with TooManyApplications."""
    ucwa_application_idle: Seconds = 900.0
    """An application without a pending GET for this long ends with InactiveApplicationExpired."""
    ucwa_activity_idle: Seconds = 1800.0
    """So does one that made itself available, is in no meeting and reports no activity for this long."""
    ucwa_refused_user_agents: list[str] = []
    """Patterns, as of file names, of user agents that get UserAgentNotAllowed."""
    ucwa_meeting_size_max: Annotated[int, msgspec.Meta(ge=1)] = 1000
    """People in a meeting; whoever joins by UCWA after that gets TooManyParticipants."""
    ucwa_lobby_size_max: Annotated[int, msgspec.Meta(ge=1)] = 250
    """People in a meeting's lobby; whoever joins by UCWA after that gets TooManyLobbyParticipants."""
    ucwa_lobby_wait: Seconds = 1800.0
    """Who came to a lobby by UCWA and was not let in for this long is disconnected."""
    ucwa_tombstones: Seconds = 86_400.0
    """For how long an application that ended is told apart from one that never was."""
    ucwa_resume_after: Seconds = 120.0
    """A client whose channel nobody read for this long is told to resume: to drop what is transient."""
    ucwa_poll_timeout: Seconds = 180.0
    """How long a pending GET waits when its client does not say; it can't say less, nor more than 1800."""
    ucwa_hold_medium: Seconds = 5.0
    """For how long events of medium urgency wait for others when the client does not say; it can't say less."""
    ucwa_hold_low: Seconds = 15.0
    """For how long events of low urgency do; a client can't say less than for medium ones."""

    ucwa_meetings_max: Annotated[int, msgspec.Meta(ge=1)] = 1000
    """Online meetings of one organizer."""
    ucwa_meeting_lifetime: Seconds = 28_800.0
    """An online meeting that says nothing of its expiration expires after this long."""
    ucwa_assigned_meetings: bool = True
    """Whether everybody has an online meeting of their own that lasts."""
    ucwa_access_level: AccessLevel = "SameEnterprise"
    """Who walks in, where an organizer does not say: Locked, Invited, SameEnterprise, Everyone."""
    ucwa_access_levels: Annotated[list[AccessLevel], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: list(get_args(AccessLevel))
    )
    """What an organizer may choose, here and below."""
    ucwa_leader_assignment: LeaderAssignment = "Disabled"
    """Who leads on entering, where an organizer does not say: Disabled, SameEnterprise, Everyone."""
    ucwa_leader_assignments: Annotated[list[LeaderAssignment], msgspec.Meta(min_length=1)] = (
        msgspec.field(default_factory=lambda: list(get_args(LeaderAssignment)))
    )
    ucwa_announcements: Annotated[list[Announcement], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: list(get_args(Announcement))
    )
    """Of entryExitAnnouncement, which is kept for clients: nobody announces here."""
    ucwa_participants_warning: Annotated[int, msgspec.Meta(ge=1)] = 250
    """From how many participants on clients should warn."""
    ucwa_help_url: str | None = None
    """For invitations: where members of the organisation get help; so are the next four."""
    ucwa_invitation_footer: str | None = None
    ucwa_invitation_help_url: str | None = None
    ucwa_invitation_legal_url: str | None = None
    ucwa_invitation_logo_url: str | None = None
    ucwa_dial_in_number: str | None = None
    """A telephone bridge that leads into meetings, for clients to show; without it the next five mean nothing."""
    ucwa_dial_in_toll_free: list[str] = []
    ucwa_dial_in_region: str | None = None
    ucwa_dial_in_regions: list[str] = []
    """More numbers: `Name;number;languages`, the languages with blanks between them."""
    ucwa_dial_in_url: str | None = None
    """Where all numbers are listed."""
    ucwa_dial_in_internal_url: str | None = None
    ucwa_people_everyone: bool = False
    """Whether users find and see those of other organisations."""
    ucwa_inactive_timeout: Seconds = 300.0
    """Without a report of activity for this long a user is shown as inactive, unless makeMeAvailable says otherwise."""
    ucwa_away_timeout: Seconds = 300.0
    """And after this much longer as away."""
    ucwa_subscription_warning: Seconds = 120.0
    """How long before a presence subscription expires its application is told."""

    # logging
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def people_everyone(self) -> bool:
        """Whether users find and see those of other organisations, in whichever family."""
        return self.ucwa_people_everyone


def load(environ: Mapping[str, str], *, defaults: Mapping[str, object] | None = None) -> Settings:
    """Read settings from an environment and the TOML file it names. Raises SettingsError.

    `defaults` are a command's own, in place of those of `Settings`.
    """
    given = _from_toml(Path(path)) if (path := environ.get(CONFIG_VARIABLE)) else {}
    given |= _from_environment(environ)
    values = dict(defaults or {}) | {name: each.value for name, each in given.items()}
    try:
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=_path_from)
    except msgspec.ValidationError as error:
        name = _NAME_IN_ERROR.findall(str(error))[0]
        raise _refused(name, given[name], in_words(_KINDS[name])) from None
    for name in RULES.keys() & given.keys():
        _apply_rule(name, given[name], getattr(settings, name))
    _refuse_short_secret(settings)
    return settings


def _apply_rule(name: str, given: Given, value: str | list[str] | None) -> None:
    each = [value] if isinstance(value, str) else value or []
    if not all(map(RULES[name].holds, each)):
        raise _refused(name, given, RULES[name].words)


def _refused(name: str, given: Given, wanted: str) -> SettingsError:
    shown = "something else, not shown here" if name in SECRETS else repr(given.written)
    return SettingsError(f"{given.place} must be {wanted}; it is {shown}")


def shown(settings: Settings) -> dict[str, object]:
    """The settings as plain values with secrets masked, for logs and `parley doctor`."""
    plain = msgspec.to_builtins(settings, enc_hook=str)
    return {key: "***" if key in SECRETS and value else value for key, value in plain.items()}


def _refuse_short_secret(settings: Settings) -> None:
    length = len((settings.jwt_secret or "").encode())
    if settings.jwt_secret is not None and length < SECRET_SHORTEST:
        raise SettingsError(
            f"{PREFIX}JWT_SECRET has {length} bytes and can be guessed: use {SECRET_SHORTEST} random ones or more, "
            "or leave it unset"
        )


def _path_from(kind: type, value: object) -> object:
    if kind is not Path or not isinstance(value, str):
        raise TypeError("a path is written as text")
    return Path(value)


def _from_toml(path: Path) -> dict[str, Given]:
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"{CONFIG_VARIABLE}: cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from None
    return _known({key: Given(f"{path}: {key}", value, value) for key, value in values.items()})


def _from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    named = {
        name.removeprefix(PREFIX).lower(): Given(
            name, value, value.split(",") if _is_list(name) else value
        )
        for name, value in environ.items()
        if name.startswith(PREFIX) and name != CONFIG_VARIABLE
    }
    # Compose files and units set variables to nothing where they mean none.
    return {
        name: each
        for name, each in _known(named).items()
        if each.value != "" or name not in _OPTIONAL
    }


def _is_list(variable: str) -> bool:
    return variable.removeprefix(PREFIX).lower() in _LISTS


def _known(given: dict[str, Given]) -> dict[str, Given]:
    unknown = [each.place for key, each in given.items() if key not in Settings.__struct_fields__]
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(sorted(unknown))}")
    return given


_KINDS = get_type_hints(Settings, include_extras=True)
_LISTS = frozenset(
    name for name, kind in get_type_hints(Settings).items() if get_origin(kind) is list
)
_OPTIONAL = frozenset(
    field.name
    for field in msgspec.structs.fields(Settings)
    if field.default is None and field.name != "jwt_secret"  # nobody means none by an empty one
)
_NAME_IN_ERROR = re.compile(r"`\$\.(\w+)")
