"""`parley token`: a bearer token on stdout."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import Parameter

from conference.commands import CommandError
from conference.tokens import issue, load_secret, user_named
from config.settings import load


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
    text = issue(
        load_secret(load(os.environ)),
        user=user_named(user, display=name, email=email, org=org),
        permissions=_names(permissions),
        scope=_names(scope),
        now=datetime.now(UTC),
        lifetime=timedelta(hours=hours),
    )
    print(text)
    return 0


def _names(text: str) -> list[str]:
    return text.replace(",", " ").split()
