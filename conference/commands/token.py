"""`parley token`: a bearer token on stdout."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import Parameter

from conference.commands import CommandError
from conference.commands.naming import named
from conference.tokens import issue, known_secret
from config.settings import Settings, load


def token(
    *,
    user: str,
    permissions: str = "",
    scope: str = "",
    name: str | None = None,
    email: str | None = None,
    org: str = "",
    hours: Annotated[float, Parameter(help="How long it holds.")] = 24.0,
) -> int:
    """Print a bearer token, alone, on stdout. Needs no server.

    Parameters
    ----------
    user
        A short name such as alice (always the same id, and the name Alice), or a user's UUID.
    permissions
        Claim `permissions`: names separated by commas.
    scope
        Claim `scope`: names separated by commas or spaces.
    name
        Displayed name, in place of the one made from `user`.
    email
        Address, in place of USER@example.com.
    org
        Claim `org`.
    """
    if hours <= 0:
        raise CommandError("--hours must be more than 0")
    settings = load(os.environ)
    if hours * 3600 > settings.token_lifetime_max:
        raise CommandError(
            f"--hours may be {settings.token_lifetime_max / 3600:g} at most: PARLEY_TOKEN_LIFETIME_MAX"
        )
    text = issue(
        _secret(settings),
        user=named(user, display=name, email=email, org=org),
        permissions=_names(permissions),
        scope=_names(scope),
        now=datetime.now(UTC),
        lifetime=timedelta(hours=hours),
    )
    print(text)
    return 0


def _secret(settings: Settings) -> str:
    """One that no server knows would make tokens that hold nowhere."""
    found = known_secret(settings)
    if found is None:
        raise CommandError(
            f"no server has run in {settings.data_dir}, so there is no secret to sign with: start `parley up` first, "
            "or set PARLEY_DATA_DIR to where one runs, or PARLEY_JWT_SECRET to its secret"
        )
    return found


def _names(text: str) -> list[str]:
    return text.replace(",", " ").split()
