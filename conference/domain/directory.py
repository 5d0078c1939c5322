"""A user as others find them: the profile, the phones, and the groups of a contact list."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal

import msgspec


class PhoneType(StrEnum):
    WORK = "Work"
    MOBILE = "Mobile"
    HOME = "Home"
    OTHER = "Other"


class Phone(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`number` is a tel: URI; empty: none. Only what is in the contact card is shown to others."""

    number: str = ""
    include_in_contact_card: bool = True


class Profile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an operator, or in part the user, says about a user."""

    title: str = ""
    department: str = ""
    company: str = ""
    office_location: str = ""
    phones: dict[PhoneType, Phone] = {}

    def phone(self, kind: PhoneType) -> Phone:
        return self.phones.get(kind, Phone())

    def number_on_card(self, kind: PhoneType) -> str:
        """As a tel: URI; '' when there is none, or others may not see it."""
        phone = self.phone(kind)
        return phone.number if phone.include_in_contact_card else ""

    def with_phone(self, kind: PhoneType, phone: Phone) -> Profile:
        return msgspec.structs.replace(self, phones={**self.phones, kind: phone})


class ActivePeriod(StrEnum):
    ALWAYS = "Always"
    WORKHOURS = "Workhours"


class CallForwardingState(StrEnum):
    NONE = "None"
    IMMEDIATE_FORWARD = "ImmediateForward"
    SIMULTANEOUS_RING = "SimultaneousRing"


class UnansweredCallHandling(StrEnum):
    ENABLED = "Enabled"
    DISABLED = "Disabled"


class CallForwarding(msgspec.Struct, frozen=True, kw_only=True):
    """Kept for the user's programs; there are no calls here to forward."""

    active_period: ActivePeriod = ActivePeriod.ALWAYS
    active_setting: CallForwardingState = CallForwardingState.NONE
    unanswered_call_handling: UnansweredCallHandling = UnansweredCallHandling.DISABLED


# --- groups -----------------------------------------------------------------------------------

DEFAULT_GROUP = "default"
PINNED_GROUP = "pinned"
SYSTEM_GROUPS = {DEFAULT_GROUP: "Other Contacts", PINNED_GROUP: "Favorites"}
"""The groups that everybody has, with their names. Nobody renames or deletes them."""

GroupRel = Literal["defaultGroup", "pinnedGroup", "group"]

_NUMBER = re.compile(r"\+?[0-9*#]{1,32}")
_FILLING = re.compile(r"[\s().\-/]")
_PARAMETER = re.compile(r"(?:;[A-Za-z0-9\-]{1,32}=[A-Za-z0-9.+\-]{1,64}){0,4}")


def rel_of(group_id: str) -> GroupRel:
    """What kind of a group it is."""
    if group_id == DEFAULT_GROUP:
        return "defaultGroup"
    return "pinnedGroup" if group_id == PINNED_GROUP else "group"


def phone_uri(text: str) -> str | None:
    """A tel: URI (RFC 3966) of a number as people write it, '' of nothing; None: that is no number."""
    plain, _, rest = text.strip().removeprefix("tel:").partition(";")
    parameters = f";{rest}" if rest else ""
    number = _FILLING.sub("", plain)
    if not number and not rest:
        return ""
    if not _NUMBER.fullmatch(number) or not _PARAMETER.fullmatch(parameters):
        return None
    return f"tel:{number}{parameters}"
