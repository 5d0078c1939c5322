"""presenceSubscriptions: being told what others publish, for a while; and of one's own contact list."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from conference.errors import NotFound
from conference.ucwa.engine.call import Call, Reply
from conference.ucwa.engine.resource import Link, Resource
from conference.ucwa.people import hrefs as hrefs
from conference.ucwa.people.contact_service import ContactService
from conference.ucwa.people.contact_views import ContactViews
from conference.ucwa.people.path import minutes_in, pair_of, uris_in
from conference.ucwa.people.subscription_service import SubscriptionService
from conference.ucwa.people.subscription_store import Subscription

LONGEST = 30
"""Minutes."""
LIST_LONGEST = 60


class SubscriptionViews:
    def __init__(
        self, service: SubscriptionService, lists: ContactService, contacts: ContactViews
    ) -> None:
        self._service = service
        self._lists = lists
        self._contacts = contacts

    async def all(self, call: Call) -> Reply:
        found = await self._service.all(call.app)
        return Reply(
            resource=Resource(
                rel="presenceSubscriptions",
                href=hrefs.SUBSCRIPTIONS,
                embedded={"presenceSubscription": [subscription(each) for each in found]},
            )
        )

    async def create(self, call: Call) -> Reply:
        addresses = uris_in(call.inputs, "uris")
        return await self._subscribe(call, addresses, minutes_in(call.inputs, LONGEST))

    async def subscribe_to_group(self, call: Call) -> Reply:
        lasting = minutes_in(call.inputs, LONGEST)
        addresses = await self._lists.addresses(call.app.user_id, call.params["groupId"])
        return await self._subscribe(call, addresses, lasting)

    async def get(self, call: Call) -> Reply:
        found = await self._service.one(call.app, call.params["subscriptionId"])
        return Reply(resource=subscription(found))

    async def extend(self, call: Call) -> Reply:
        by = minutes_in(call.inputs, LONGEST)
        found = await self._service.extend(call.app, call.params["subscriptionId"], by)
        return _made(subscription(found))

    async def delete(self, call: Call) -> Reply:
        await self._service.unsubscribe(call.app, call.params["subscriptionId"])
        return Reply(status=204)

    async def subscribed(self, call: Call) -> Reply:
        found = await self._service.all(call.app)
        addresses = list(dict.fromkeys(address for each in found for address in each.addresses))
        return Reply(
            resource=await self._contacts.listed(
                "subscribedContacts", hrefs.SUBSCRIBED, addresses, call
            )
        )

    async def _subscribe(self, call: Call, addresses: list[str], lasting: timedelta) -> Reply:
        return _made(subscription(await self._service.subscribe(call.app, addresses, lasting)))


class SubscriptionMembershipViews:
    def __init__(self, service: SubscriptionService) -> None:
        self._service = service

    async def all(self, call: Call) -> Reply:
        return Reply(resource=memberships(await self._service.all(call.app)))

    async def create(self, call: Call) -> Reply:
        """Without naming a subscription: a new one."""
        addresses = uris_in(call.inputs, "contactUris")
        found = await self._service.subscribe(call.app, addresses, timedelta(minutes=LONGEST))
        return _made(memberships([found]))

    async def of(self, call: Call) -> Reply:
        found = await self._service.one(call.app, call.params["subscriptionId"])
        return Reply(resource=memberships([found], f"{hrefs.subscription(found.id)}/memberships"))

    async def add(self, call: Call) -> Reply:
        found = await self._service.watch(
            call.app, call.params["subscriptionId"], uris_in(call.inputs, "contactUris")
        )
        return _made(memberships([found], f"{hrefs.subscription(found.id)}/memberships"))

    async def one(self, call: Call) -> Reply:
        subscription_id, address = pair_of(call)
        found = await self._service.one(call.app, subscription_id)
        if address not in found.addresses:
            raise NotFound("the subscription does not have that contact")
        return Reply(resource=membership(found, address))

    async def remove(self, call: Call) -> Reply:
        await self._service.unwatch(call.app, *pair_of(call))
        return Reply(status=204)


class ListSubscriptionViews:
    """myContactsAndGroupsSubscription."""

    def __init__(self, service: SubscriptionService) -> None:
        self._service = service

    async def get(self, call: Call) -> Reply:
        found = await self._service.following(call.app)
        return Reply(resource=list_subscription(connected=found is not None))

    async def start(self, call: Call) -> Reply:
        await self._service.follow(call.app, minutes_in(call.inputs, LIST_LONGEST))
        return _made(list_subscription(connected=True))

    async def stop(self, call: Call) -> Reply:
        await self._service.unfollow(call.app)
        return Reply(status=204)


def _made(shown: Resource) -> Reply:
    return Reply(status=201, resource=shown, location=shown.href)


def subscription(given: Subscription) -> Resource:
    href = hrefs.subscription(given.id)
    return Resource(
        rel="presenceSubscription",
        href=href,
        properties={"id": str(given.id)},
        links={
            "addToPresenceSubscription": Link(f"{href}/addToPresenceSubscription"),
            "memberships": Link(f"{href}/memberships"),
        },
    )


def memberships(
    given: Iterable[Subscription], href: str = hrefs.SUBSCRIPTION_MEMBERSHIPS
) -> Resource:
    found = [membership(each, address) for each in given for address in each.addresses]
    return Resource(
        rel="presenceSubscriptionMemberships",
        href=href,
        embedded={"presenceSubscriptionMembership": found},
    )


def membership(given: Subscription, address: str) -> Resource:
    return Resource(
        rel="presenceSubscriptionMembership",
        href=hrefs.subscription_membership(given.id, address),
        links={
            "contact": Link(hrefs.contact(address)),
            "presenceSubscription": Link(hrefs.subscription(given.id)),
        },
    )


def list_subscription(*, connected: bool) -> Resource:
    href = hrefs.LIST_SUBSCRIPTION
    links = {
        "startOrRefreshSubscriptionToContactsAndGroups": Link(
            f"{href}/startOrRefreshSubscriptionToContactsAndGroups"
        )
    }
    if connected:
        links["stopSubscriptionToContactsAndGroups"] = Link(
            f"{href}/stopSubscriptionToContactsAndGroups"
        )
    return Resource(
        rel="myContactsAndGroupsSubscription",
        href=href,
        properties={"state": "Connected" if connected else "Disconnected"},
        links=links,
    )
