"""What a UCWA application is told of its user, of those it watches, and of the contact list.

The facts say what changed, not to what: an application that wants to know fetches the resource. So a fact that comes
late is still true.
"""

from __future__ import annotations

from typing import Literal

from schemas.events import Event

Change = Literal["added", "updated", "deleted"]
Collection = Literal["myContacts", "subscribedContacts", "group", "defaultGroup", "pinnedGroup"]


class UcwaMe(Event, frozen=True, kw_only=True, tag="UCWA_ME"):
    """Something of the application's own user."""

    what: Literal["me", "presence", "note", "location"]
    change: Change


class UcwaContact(Event, frozen=True, kw_only=True, tag="UCWA_CONTACT"):
    """Something that other users publish. An address is that of a SIP URI, without the scheme."""

    what: Literal["contactPresence", "contactNote", "contactLocation"]
    addresses: list[str]


class UcwaListed(Event, frozen=True, kw_only=True, tag="UCWA_LISTED"):
    """Some came into a collection or left it. `group_id` is set where the collection is a group."""

    addresses: list[str]
    change: Literal["added", "deleted"]
    collection: Collection
    group_id: str | None = None


class UcwaGroup(Event, frozen=True, kw_only=True, tag="UCWA_GROUP"):
    """A personal group of the user."""

    group_id: str
    name: str
    change: Change


class UcwaSubscription(Event, frozen=True, kw_only=True, tag="UCWA_SUBSCRIPTION"):
    """A presenceSubscription. `updated`: also when it is about to expire."""

    subscription_id: str
    change: Change


class UcwaListSubscription(Event, frozen=True, kw_only=True, tag="UCWA_LIST_SUBSCRIPTION"):
    """myContactsAndGroupsSubscription began, is about to expire, or has."""
