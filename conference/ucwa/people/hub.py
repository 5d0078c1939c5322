"""people: the hub for finding, listing and watching others; and what others are told of."""

from __future__ import annotations

from conference.api.auth import Caller
from conference.domain.directory import rel_of
from conference.ucwa.application import Application
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.news import Renderers
from conference.ucwa.engine.resource import Link, NewsItem, Resource, Target
from conference.ucwa.people import hrefs as hrefs
from conference.ucwa.people.facts import (
    UcwaContact,
    UcwaGroup,
    UcwaListed,
    UcwaListSubscription,
    UcwaSubscription,
)

_SENDER = Target(rel="people", href=hrefs.PEOPLE)
_LINKS = {
    "presenceSubscriptions": Link(hrefs.SUBSCRIPTIONS),
    "subscribedContacts": Link(hrefs.SUBSCRIBED),
    "presenceSubscriptionMemberships": Link(hrefs.SUBSCRIPTION_MEMBERSHIPS),
    "myGroups": Link(hrefs.GROUPS, revision="2"),
    "myGroupMemberships": Link(hrefs.GROUP_MEMBERSHIPS, revision="2"),
    "myContacts": Link(hrefs.CONTACTS),
    "myPrivacyRelationships": Link(hrefs.PRIVACY),
    "myContactsAndGroupsSubscription": Link(hrefs.LIST_SUBSCRIPTION),
    "search": Link(hrefs.SEARCH, revision="2"),
}


async def hub(application: Application, caller: Caller) -> Resource:
    """people, as the dashboard embeds it. Somebody anonymous finds nothing there."""
    return Resource(rel="people", href=hrefs.PEOPLE, links={} if application.anonymous else _LINKS)


async def get(call: Call) -> Reply:
    return Reply(resource=await hub(call.app, call.caller))


def endpoints() -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path=hrefs.PEOPLE,
            view=get,
            rel="people",
            summary="The hub for people",
            anonymous=False,
        )
    ]


# --- events -----------------------------------------------------------------------------------


def _contact_changed(event: UcwaContact, application: Application) -> list[NewsItem]:
    return [
        NewsItem(
            sender=_SENDER,
            type="updated",
            link=Target(rel=event.what, href=hrefs.of_contact(address, event.what)),
            inside=_contact(address),
        )
        for address in event.addresses
    ]


def _listed(event: UcwaListed, application: Application) -> list[NewsItem]:
    inside = Target(rel=event.collection, href=_collection(event))
    return [
        NewsItem(sender=_SENDER, type=event.change, link=_contact(address), inside=inside)
        for address in event.addresses
    ]


def _group_changed(event: UcwaGroup, application: Application) -> list[NewsItem]:
    group = Target(rel=rel_of(event.group_id), href=hrefs.group(event.group_id), title=event.name)
    among = None if event.change == "updated" else Target(rel="myGroups", href=hrefs.GROUPS)
    return [NewsItem(sender=_SENDER, type=event.change, link=group, inside=among)]


def _subscription_changed(event: UcwaSubscription, application: Application) -> list[NewsItem]:
    href = hrefs.subscription(event.subscription_id)
    link = Target(rel="presenceSubscription", href=href)
    return [NewsItem(sender=_SENDER, type=event.change, link=link)]


def _list_subscription_changed(
    event: UcwaListSubscription, application: Application
) -> list[NewsItem]:
    link = Target(rel="myContactsAndGroupsSubscription", href=hrefs.LIST_SUBSCRIPTION)
    return [NewsItem(sender=_SENDER, type="updated", link=link)]


def _contact(address: str) -> Target:
    return Target(rel="contact", href=hrefs.contact(address))


def _collection(event: UcwaListed) -> str:
    if event.group_id is not None:
        return hrefs.group(event.group_id)
    return hrefs.SUBSCRIBED if event.collection == "subscribedContacts" else hrefs.CONTACTS


NEWS: Renderers = {
    UcwaContact: _contact_changed,
    UcwaListed: _listed,
    UcwaGroup: _group_changed,
    UcwaSubscription: _subscription_changed,
    UcwaListSubscription: _list_subscription_changed,
}
