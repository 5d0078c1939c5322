"""Where the user and other people are, below an application."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

from conference.domain.directory import PhoneType

ME = "me"
MAKE_ME_AVAILABLE = f"{ME}/makeMeAvailable"
REPORT_MY_ACTIVITY = f"{ME}/reportMyActivity"
PHONES = f"{ME}/phones"
PHOTO = f"{ME}/photo"
CALL_FORWARDING = f"{ME}/callForwardingSettings"
TURN_OFF_CALL_FORWARDING = f"{CALL_FORWARDING}/turnOffCallForwarding"

PEOPLE = "people"
SEARCH = f"{PEOPLE}/search"
CONTACTS = f"{PEOPLE}/contacts"
GROUPS = f"{PEOPLE}/groups"
GROUP_MEMBERSHIPS = f"{PEOPLE}/groupMemberships"
REMOVE_CONTACT = f"{GROUP_MEMBERSHIPS}/removeContactFromAllGroups"
SUBSCRIPTIONS = f"{PEOPLE}/presenceSubscriptions"
SUBSCRIPTION_MEMBERSHIPS = f"{PEOPLE}/presenceSubscriptionMemberships"
SUBSCRIBED = f"{PEOPLE}/subscribedContacts"
LIST_SUBSCRIPTION = f"{PEOPLE}/contactsAndGroupsSubscription"
PRIVACY = f"{PEOPLE}/privacyRelationships"


def own(what: Literal["presence", "note", "location"]) -> str:
    return f"{ME}/{what}"


def phone(kind: PhoneType) -> str:
    return f"{PHONES}/{kind.value}"


def contact(address: str) -> str:
    return f"{PEOPLE}/{_segment(address)}"


def of_contact(address: str, what: str) -> str:
    return f"{contact(address)}/{what}"


def group(group_id: str) -> str:
    return f"{GROUPS}/{group_id}"


def group_membership(group_id: str, address: str) -> str:
    return f"{GROUP_MEMBERSHIPS}/{group_id},{_segment(address)}"


def subscription(subscription_id: str | int) -> str:
    return f"{SUBSCRIPTIONS}/{subscription_id}"


def subscription_membership(subscription_id: str | int, address: str) -> str:
    return f"{SUBSCRIPTION_MEMBERSHIPS}/{subscription_id},{_segment(address)}"


def privacy(level: str) -> str:
    return f"{PRIVACY}/{level}"


def _segment(address: str) -> str:
    return quote(address, safe="@")
