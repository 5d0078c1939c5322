"""Bearer tokens signed with this domain's own secret (HS256), and that secret."""

from __future__ import annotations

import os
import secrets
import tempfile
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

import msgspec
from joserfc import jwt
from joserfc.jwk import OctKey

from conference.machine.datadir import make_private
from config.settings import SECRET_SHORTEST, Settings, SettingsError

ALGORITHM = "HS256"
SECRET_FILE = "jwt-secret"

_USERS = UUID("6d1b2f6e-52c4-4c0f-8f0e-5f0b7f1f3c11")
_SECRET_BYTES = 32


class TokenUser(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a token speaks for."""

    id: UUID
    name: str
    email: str
    org: str = ""


def user_id_for(name: str) -> UUID:
    """The id of a user known by a short name alone: always the same one, without a database."""
    return uuid5(_USERS, unicodedata.normalize("NFC", name).strip().lower())


def user_named(
    name: str, *, display: str | None = None, email: str | None = None, org: str = ""
) -> TokenUser:
    """alice -> Alice, alice@example.com. A name that is a UUID is the id itself."""
    short = name.strip().lower()
    return TokenUser(
        id=_as_uuid(short) or user_id_for(short),
        name=display or name.strip().capitalize(),
        email=email or f"{short.replace(' ', '.')}@example.com",
        org=org,
    )


def issue(
    secret: str,
    *,
    user: TokenUser,
    permissions: Sequence[str] = (),
    scope: Sequence[str] = (),
    now: datetime,
    lifetime: timedelta,
    meeting: UUID | None = None,
) -> str:
    """A signed token. `permissions` is a list claim; `scope` is written with spaces (RFC 8693 section 4.2).

    With `meeting` it is somebody anonymous's, and good for that meeting alone.
    """
    claims: dict[str, object] = {
        "sub": str(user.id),
        "name": user.name,
        "email": user.email,
        "permissions": list(permissions),
        "scope": " ".join(scope),
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
    }
    if user.org:
        claims["org"] = user.org
    if meeting is not None:
        claims["meeting"] = str(meeting)
    return jwt.encode({"alg": ALGORITHM}, claims, OctKey.import_key(secret))


def load_secret(settings: Settings) -> str:
    """As `known_secret`, made at first use (by one of many processes)."""
    found = known_secret(settings)
    if found is None:
        _create(settings.data_dir / SECRET_FILE)
        found = known_secret(settings)
    return found or ""


def known_secret(settings: Settings) -> str | None:
    """The setting, or the one kept in the data directory; None while there is none.

    Raises OSError when the file can't be read or made, SettingsError when somebody shortened it.
    """
    if settings.jwt_secret:
        return settings.jwt_secret
    path = settings.data_dir / SECRET_FILE
    try:
        found = path.read_text().strip()
    except FileNotFoundError:
        return None
    if len(found.encode()) < SECRET_SHORTEST:
        raise SettingsError(
            f"{path} is too short and can be guessed: remove it, and another is made"
        )
    return found


def _create(path: Path) -> None:
    """Written beside its place, then linked there: nobody reads half a secret, the first one wins."""
    make_private(path.parent)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(_SECRET_BYTES) + "\n")
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(draft)


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
