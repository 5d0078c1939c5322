"""The table of what concerns subscriptions."""

from __future__ import annotations

from conference.ucwa.engine.call import Endpoint, Scope, View
from conference.ucwa.people import hrefs as hrefs
from conference.ucwa.people.contact_views import ANY, EXPAND, SCOPES
from conference.ucwa.people.subscription_views import (
    LIST_LONGEST,
    LONGEST,
    ListSubscriptionViews,
    SubscriptionMembershipViews,
    SubscriptionViews,
)

_ONE = f"{hrefs.SUBSCRIPTIONS}/{{subscriptionId}}"
_URIS = "required: list of SIP URIs"
_DURATION = f"required: minutes, from 10 to {LONGEST}"
_WATCH: frozenset[Scope] = frozenset(("User.ReadWrite", "Contacts.ReadWrite"))


def endpoints(
    views: SubscriptionViews,
    memberships: SubscriptionMembershipViews,
    lists: ListSubscriptionViews,
) -> list[Endpoint]:
    return [*_subscriptions(views), *_memberships(memberships), *_lists(lists)]


def _subscriptions(views: SubscriptionViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path=hrefs.SUBSCRIPTIONS,
            view=views.all,
            rel="presenceSubscriptions",
            summary="The application's subscriptions",
            scopes=ANY,
            anonymous=False,
        ),
        Endpoint(
            method="POST",
            path=hrefs.SUBSCRIPTIONS,
            view=views.create,
            rel="presenceSubscriptions",
            summary="Be told what some people publish",
            scopes=_WATCH,
            anonymous=False,
            returns=201,
            inputs={"uris": _URIS, "duration": _DURATION},
        ),
        Endpoint(
            method="POST",
            path=f"{hrefs.GROUPS}/{{groupId}}/subscribeToGroupPresence",
            view=views.subscribe_to_group,
            rel="subscribeToGroupPresence",
            summary="Be told what the contacts now in a group publish",
            scopes=SCOPES,
            anonymous=False,
            returns=201,
            inputs={"duration": _DURATION, "groupId": "read, and not used: the path names it"},
        ),
        Endpoint(
            method="GET",
            path=_ONE,
            view=views.get,
            rel="presenceSubscription",
            summary="A subscription",
            scopes=_WATCH,
            anonymous=False,
        ),
        Endpoint(
            method="POST",
            path=_ONE,
            view=views.extend,
            rel="presenceSubscription",
            summary="Make a subscription last longer: half an hour from now at most",
            scopes=_WATCH,
            anonymous=False,
            returns=201,
            inputs={"duration": _DURATION},
        ),
        Endpoint(
            method="DELETE",
            path=_ONE,
            view=views.delete,
            rel="presenceSubscription",
            summary="End a subscription",
            scopes=_WATCH,
            anonymous=False,
            returns=204,
        ),
        Endpoint(
            method="GET",
            path=hrefs.SUBSCRIBED,
            view=views.subscribed,
            rel="subscribedContacts",
            summary="Whom the application watches",
            scopes=ANY,
            anonymous=False,
            query=EXPAND,
        ),
    ]


def _memberships(views: SubscriptionMembershipViews) -> list[Endpoint]:
    one = f"{hrefs.SUBSCRIPTION_MEMBERSHIPS}/{{membershipId}}"
    added: list[tuple[str, str, View]] = [
        (f"{_ONE}/memberships", "memberships", views.add),
        (f"{_ONE}/addToPresenceSubscription", "addToPresenceSubscription", views.add),
        (hrefs.SUBSCRIPTION_MEMBERSHIPS, "presenceSubscriptionMemberships", views.create),
    ]
    return [
        Endpoint(
            method="GET",
            path=hrefs.SUBSCRIPTION_MEMBERSHIPS,
            view=views.all,
            rel="presenceSubscriptionMemberships",
            summary="Whom the application watches, by subscription",
            scopes=ANY,
            anonymous=False,
        ),
        Endpoint(
            method="GET",
            path=f"{_ONE}/memberships",
            view=views.of,
            rel="memberships",
            summary="Whom a subscription watches",
            scopes=_WATCH,
            anonymous=False,
        ),
        *(
            Endpoint(
                method="POST",
                path=path,
                view=view,
                rel=rel,
                summary="Watch more people",
                scopes=_WATCH,
                anonymous=False,
                returns=201,
                inputs={"contactUris": _URIS},
            )
            for path, rel, view in added
        ),
        Endpoint(
            method="GET",
            path=one,
            view=views.one,
            rel="presenceSubscriptionMembership",
            summary="A contact's being in a subscription",
            scopes=ANY,
            anonymous=False,
        ),
        Endpoint(
            method="DELETE",
            path=one,
            view=views.remove,
            rel="presenceSubscriptionMembership",
            summary="Take a contact out of a subscription",
            scopes=_WATCH,
            anonymous=False,
            returns=204,
        ),
    ]


def _lists(views: ListSubscriptionViews) -> list[Endpoint]:
    path = hrefs.LIST_SUBSCRIPTION
    return [
        Endpoint(
            method="GET",
            path=path,
            view=views.get,
            rel="myContactsAndGroupsSubscription",
            summary="Whether the application is told of the contact list",
            scopes=SCOPES,
            anonymous=False,
        ),
        Endpoint(
            method="POST",
            path=f"{path}/startOrRefreshSubscriptionToContactsAndGroups",
            view=views.start,
            rel="startOrRefreshSubscriptionToContactsAndGroups",
            summary="Be told of changes of the contact list",
            scopes=SCOPES,
            anonymous=False,
            returns=201,
            inputs={
                "duration": f"required: minutes, from 10 to {LIST_LONGEST}; half an hour counts"
            },
        ),
        Endpoint(
            method="POST",
            path=f"{path}/stopSubscriptionToContactsAndGroups",
            view=views.stop,
            rel="stopSubscriptionToContactsAndGroups",
            summary="Be told no more of the contact list",
            scopes=SCOPES,
            anonymous=False,
            returns=204,
        ),
    ]
