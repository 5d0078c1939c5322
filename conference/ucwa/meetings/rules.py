"""An online meeting: what UCWA knows of a meeting, and how its organizer changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

import msgspec
from msgspec.structs import replace

from conference.domain.door import AccessLevel, Door, LeaderAssignment
from conference.domain.meeting import Meeting
from conference.errors import BadRequest
from conference.ucwa import sip
from schemas.terms import Term, UserType

_PAST_MOST = timedelta(days=366)
_FUTURE_MOST = timedelta(days=3653)

Rel = Literal["myOnlineMeetings", "myAssignedOnlineMeeting"]


class Announcement(Term):
    """Whether coming and going is announced. Kept for clients: nobody announces here."""

    UNSUPPORTED = "Unsupported"
    DISABLED = "Disabled"
    ENABLED = "Enabled"


class Switch(Term):
    DISABLED = "Disabled"
    ENABLED = "Enabled"


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What an organizer decides; None leaves it to the default. Addresses are in lower case."""

    subject: str | None = None
    description: str | None = None
    access_level: AccessLevel | None = None
    automatic_leader_assignment: LeaderAssignment | None = None
    entry_exit_announcement: Announcement | None = None
    lobby_bypass_for_phone_users: Switch | None = None
    phone_user_admission: Switch | None = None
    attendees: tuple[str, ...] = ()
    leaders: tuple[str, ...] = ()
    expiration: datetime | None = None


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """Of what an organizer may leave open. `lifetime`: of a meeting that says nothing about its expiration."""

    access_level: AccessLevel
    automatic_leader_assignment: LeaderAssignment
    entry_exit_announcement: Announcement
    lobby_bypass_for_phone_users: Switch
    phone_user_admission: Switch
    lifetime: timedelta
    subject: str = "Online meeting"


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept beside the meeting. `adhoc`: started rather than scheduled. `lasting`: made elsewhere or assigned,
    so without a default expiration."""

    meeting_id: UUID
    owner_id: UUID
    online_meeting_id: str
    conference_id: str
    assigned: bool = False
    adhoc: bool = False
    lasting: bool = False
    description: str | None = None
    entry_exit_announcement: Announcement
    phone_user_admission: Switch


class Organizer(sip.Addressed, Protocol):
    @property
    def name(self) -> str: ...

    @property
    def org(self) -> str: ...


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Where this installation is: `domain` in SIP URIs, `public_url` without a slash at its end."""

    domain: str
    public_url: str


class OnlineMeeting(msgspec.Struct, frozen=True, kw_only=True):
    """One meeting as its organizer sees it. `attendees` and `leaders` are SIP URIs."""

    meeting_id: UUID
    organizer_id: UUID
    organizer_name: str
    organizer_uri: str
    subject: str
    description: str | None
    access_level: AccessLevel
    automatic_leader_assignment: LeaderAssignment
    entry_exit_announcement: Announcement
    lobby_bypass_for_phone_users: Switch
    phone_user_admission: Switch
    attendees: tuple[str, ...]
    leaders: tuple[str, ...]
    expiration: datetime | None
    online_meeting_id: str
    uri: str
    legacy_uri: str
    join_url: str
    conference_id: str
    rel: Rel
    open_to_anonymous: bool
    """Whether somebody anonymous may come as far as its lobby."""


def described(
    meeting: Meeting,
    details: Details,
    organizer: Organizer,
    addresses: Mapping[UUID, str],
    site: Site,
) -> OnlineMeeting:
    """`addresses` of the meeting's members, where it has no door that lists them."""
    door = meeting.door or _equivalent(meeting, organizer, addresses)
    organizer_uri = sip.uri_of(organizer, site.domain)
    uri = sip.focus_uri(organizer_uri, details.online_meeting_id)
    return OnlineMeeting(
        meeting_id=meeting.id,
        organizer_id=organizer.id,
        organizer_name=organizer.name,
        organizer_uri=organizer_uri,
        subject=meeting.name,
        description=details.description,
        access_level=door.access_level,
        automatic_leader_assignment=door.automatic_leader_assignment,
        entry_exit_announcement=details.entry_exit_announcement,
        lobby_bypass_for_phone_users=(
            Switch.ENABLED if door.lobby_bypass_for_phone_users else Switch.DISABLED
        ),
        phone_user_admission=details.phone_user_admission,
        attendees=tuple(f"sip:{address}" for address in door.attendees),
        leaders=tuple(f"sip:{address}" for address in door.leaders),
        expiration=meeting.expiration,
        online_meeting_id=details.online_meeting_id,
        uri=uri,
        legacy_uri=sip.legacy_uri(uri, meeting.id),
        join_url=f"{site.public_url}/join/{meeting.join_code}",
        conference_id=details.conference_id,
        rel="myAssignedOnlineMeeting" if details.assigned else "myOnlineMeetings",
        open_to_anonymous=meeting.door is not None or meeting.scheduled,
    )


def _equivalent(meeting: Meeting, organizer: Organizer, addresses: Mapping[UUID, str]) -> Door:
    """The door that comes nearest to what a meeting without one does; its lists are the access list."""
    listed = {user: role for user, role in meeting.members.items() if user != meeting.owner_id}
    return Door(
        access_level=_own_level(meeting),
        organizer_org=organizer.org,
        leaders=_addresses(listed, UserType.MODERATOR, addresses),
        attendees=_addresses(listed, UserType.REGISTERED, addresses),
    )


def _own_level(meeting: Meeting) -> AccessLevel:
    return AccessLevel.LOCKED if meeting.scheduled else AccessLevel.INVITED


def _addresses(
    listed: Mapping[UUID, UserType], role: UserType, addresses: Mapping[UUID, str]
) -> tuple[str, ...]:
    found = (addresses[user] for user, its in listed.items() if its is role and user in addresses)
    return tuple(sorted(found))


# --- what an organizer decides ----------------------------------------------------------------


def door_of(wishes: Wishes, defaults: Defaults, organizer: Organizer, domain: str) -> Door:
    """The organizer leads without being named."""
    own = sip.address_of(organizer, domain)
    bypass = wishes.lobby_bypass_for_phone_users or defaults.lobby_bypass_for_phone_users
    assignment = wishes.automatic_leader_assignment or defaults.automatic_leader_assignment
    return Door(
        access_level=wishes.access_level or defaults.access_level,
        automatic_leader_assignment=assignment,
        organizer_org=organizer.org,
        leaders=_besides(own, wishes.leaders),
        attendees=_besides(own, wishes.attendees),
        lobby_bypass_for_phone_users=bypass is Switch.ENABLED,
    )


def defaults_for(meeting: Meeting, defaults: Defaults) -> Defaults:
    """A meeting that kept its own rules so far does not become more open by what an organizer leaves out."""
    if meeting.door is not None:
        return defaults
    return replace(
        defaults,
        access_level=_own_level(meeting),
        automatic_leader_assignment=LeaderAssignment.DISABLED,
    )


def expiration_of(
    wishes: Wishes, defaults: Defaults, now: datetime, *, lasting: bool
) -> datetime | None:
    """To the millisecond, which is what the dates of UCWA's JSON tell. Raises BadRequest as `check_expiration`."""
    if wishes.expiration is not None:
        return _to_the_millisecond(check_expiration(wishes.expiration, now))
    return None if lasting else _to_the_millisecond(now + defaults.lifetime)


def _to_the_millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _besides(own: str, addresses: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(address for address in addresses if address != own))


def check_expiration(expiration: datetime, now: datetime) -> datetime:
    """Raises BadRequest unless it is between one year ago and ten years from now."""
    if now - _PAST_MOST <= expiration <= now + _FUTURE_MOST:
        return expiration
    why = "must be between one year ago and ten years from now"
    raise BadRequest(
        f"expirationTime: {why}",
        code="ParameterValidationFailure",
        details={"parameters": {"expirationTime": why}},
    )


# --- changing it ------------------------------------------------------------------------------
