"""Whom a command speaks of: a name that also makes an address which clients can use."""

from __future__ import annotations

import re

from conference.commands import CommandError
from conference.tokens import TokenUser, user_named
from config.values import is_host_name

LONGEST_NAME = 256
_LONGEST_LOCAL = 64  # RFC 5321 section 4.5.3.1.1

# What stands before the @ of an e-mail address without quotes (RFC 5322 section 3.2.3) and in a SIP URI without
# escapes (RFC 3261 section 25.1), less what other parts of a URI begin with.
_LOCAL = re.compile(r"[A-Za-z0-9!$&'*+=_~-]+(\.[A-Za-z0-9!$&'*+=_~-]+)*")


def named(
    name: str, *, display: str | None = None, email: str | None = None, org: str = ""
) -> TokenUser:
    """As `user_named`. Raises CommandError for a name or an address that clients could not use."""
    user = user_named(name, display=display, email=email, org=org)
    if not is_address(user.email):
        raise CommandError(
            f"{email!r} is no e-mail address of letters, digits and dots, as alice@example.com"
            if email
            else f"{name!r} makes no address that clients can use: take a short name of letters, digits and dots, "
            "such as alice, and give the displayed one beside it"
        )
    if not user.name.isprintable() or len(user.name) > LONGEST_NAME:
        raise CommandError(
            f"a displayed name has at most {LONGEST_NAME} characters and no control characters"
        )
    return user


def is_address(text: str) -> bool:
    """Whether it can be an e-mail address and, as it is, the address of a SIP URI."""
    local, _, domain = text.rpartition("@")
    return (
        _LOCAL.fullmatch(local) is not None
        and len(local) <= _LONGEST_LOCAL
        and is_host_name(domain)
    )
