"""SIP URIs of people and of meetings. Nothing here speaks SIP: UCWA names both by such URIs.

A person's address is their e-mail address, or `{user id}@{domain}` for somebody without one. A meeting's URI is
that of its organizer with the meeting's id as a parameter: `sip:alice@example.com;gruu;opaque=app:conf:focus:id:ID`.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

_SCHEME = "sip:"
_FOCUS = ";gruu;opaque=app:conf:focus:id:"
_CONFERENCE = "conf:"
_NEVER = frozenset(' <>",;?')
"""What an address has nowhere; a colon it has before a port alone."""


class Addressed(Protocol):
    """Anybody with an id and, perhaps, an e-mail address."""

    @property
    def id(self) -> UUID: ...

    @property
    def email(self) -> str: ...


def uri_of(user: Addressed, domain: str) -> str:
    return _SCHEME + address_of(user, domain)


def address_of(user: Addressed, domain: str) -> str:
    """An e-mail address that can't stand in a URI is as none: identity providers say what they like."""
    email = user.email.lower()
    return email if _is_address(email) else f"{user.id}@{domain}"


def address(uri: str) -> str:
    """The address in a person's URI, in lower case; the scheme and angle brackets may be missing, parameters are
    dropped.

    Raises ValueError for what is no address.
    """
    text = uri.strip().lower()
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    found = text.removeprefix(_SCHEME).partition(";")[0].partition("?")[0]
    if not _is_address(found):
        raise ValueError(f"{uri!r} is not a SIP URI, as sip:alice@example.com")
    return found


def _is_address(text: str) -> bool:
    name, at, domain = text.partition("@")
    return bool(name and at and domain and text.isprintable()) and not (
        _NEVER.intersection(text) or "@" in domain or ":" in name
    )


def user_id(address: str, domain: str) -> UUID | None:
    """Whose address this is, when it is one made of an id."""
    name, _, at = address.partition("@")
    if at != domain.lower():
        return None
    try:
        return UUID(name)
    except ValueError:
        return None


def focus_uri(organizer: str, online_meeting_id: str) -> str:
    """The URI of a meeting. `organizer`: the organizer's URI."""
    return f"{organizer}{_FOCUS}{online_meeting_id}"


def legacy_uri(focus: str, meeting_id: UUID) -> str:
    """The URI in the form of older clients."""
    return f"{_CONFERENCE}{focus}?conversation-id={meeting_id.hex}"


def parse_focus(uri: str) -> tuple[str, str] | None:
    """(organizer's address, id of the online meeting) of a meeting's URI in either form; None: it is no such URI."""
    text = uri.strip()
    if text.lower().startswith(_CONFERENCE):
        text = text[len(_CONFERENCE) :]
    text = text.partition("?")[0]
    at = text.lower().find(_FOCUS)
    if at < 0:
        return None
    try:
        return address(text[:at]), text[at + len(_FOCUS) :].upper()
    except ValueError:
        return None
