"""The door of an online meeting: who walks in, who waits in the lobby, who presents.

    access level      walks in
    Everyone          everybody
    SameEnterprise    the organizer's company
    Invited           those of the company who are on the list: attendees, leaders, members
    Locked            the organizer and the leaders

A leader always walks in; whoever does not waits in the meeting's queue. Company is the `org` of people's tokens:
two that have none are in the same one. Somebody anonymous is in no company and on no list.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from schemas.terms import Term, UserType


class AccessLevel(Term):
    EVERYONE = "Everyone"
    SAME_ENTERPRISE = "SameEnterprise"
    INVITED = "Invited"
    LOCKED = "Locked"


class LeaderAssignment(Term):
    """Who becomes a leader on entering, besides those who are one already."""

    DISABLED = "Disabled"
    SAME_ENTERPRISE = "SameEnterprise"
    EVERYONE = "Everyone"


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """`leaders` and `attendees` are e-mail addresses in lower case. `lobby_bypass_for_phone_users` is kept for
    clients; nobody comes by phone here, and a locked meeting would ignore it."""

    access_level: AccessLevel
    automatic_leader_assignment: LeaderAssignment = LeaderAssignment.DISABLED
    organizer_org: str = ""
    leaders: tuple[str, ...] = ()
    attendees: tuple[str, ...] = ()
    lobby_bypass_for_phone_users: bool = False


Guest = Literal["leader", "invitee", "colleague", "stranger", "anonymous"]
"""What somebody is at a door. A stranger has a name, but is of another company."""

WALK_IN: dict[AccessLevel, frozenset[Guest]] = {
    AccessLevel.EVERYONE: frozenset(get_args(Guest)),
    AccessLevel.SAME_ENTERPRISE: frozenset(("leader", "invitee", "colleague")),
    AccessLevel.INVITED: frozenset(("leader", "invitee")),
    AccessLevel.LOCKED: frozenset(("leader",)),
}
LEAD: dict[LeaderAssignment, frozenset[Guest]] = {
    LeaderAssignment.DISABLED: frozenset(("leader",)),
    LeaderAssignment.SAME_ENTERPRISE: frozenset(("leader", "invitee", "colleague")),
    LeaderAssignment.EVERYONE: frozenset(get_args(Guest)),
}


class Visitor(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody's token says of them."""

    email: str = ""
    org: str = ""
    anonymous: bool = False


def guest(door: Door, role: UserType | None, visitor: Visitor) -> Guest:
    """`role`: what they are on the meeting's access list; None when they are not on it."""
    if role is UserType.MODERATOR:
        return "leader"
    if visitor.anonymous:
        return "anonymous"
    address = visitor.email.lower()
    if address and address in door.leaders:
        return "leader"
    if visitor.org.lower() != door.organizer_org.lower():
        return "stranger"
    listed = role is not None or (address and address in door.attendees)
    return "invitee" if listed else "colleague"


def walks_in(door: Door, who: Guest) -> bool:
    return who in WALK_IN[door.access_level]


def role_of(door: Door, who: Guest) -> UserType:
    """What they are once they are in."""
    leads = who in LEAD[door.automatic_leader_assignment]
    return UserType.MODERATOR if leads else UserType.REGISTERED
