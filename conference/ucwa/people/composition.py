"""The composition of UCWA's me and people: their services, endpoints, and what runs by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import asyncpg

from conference.services.changes import Relay
from conference.services.periodic import alone
from conference.ucwa.application import Application
from conference.ucwa.applications.views import Hub
from conference.ucwa.engine.call import Endpoint
from conference.ucwa.people import (
    call_forwarding,
    location,
    note,
    phones,
    photo,
    privacy,
    search,
    subscription_endpoints,
)
from conference.ucwa.people import (
    contact_views as contacts,
)
from conference.ucwa.people import (
    group_views as groups,
)
from conference.ucwa.people import (
    hub as people,
)
from conference.ucwa.people import (
    me_views as me,
)
from conference.ucwa.people import (
    presence_views as presence,
)
from conference.ucwa.people.contact_service import ContactService
from conference.ucwa.people.contact_views import ContactCards, ContactViews
from conference.ucwa.people.directory import Directory
from conference.ucwa.people.me_service import MeService
from conference.ucwa.people.person_changes import PersonChanges
from conference.ucwa.people.presence_service import PresenceService, Times
from conference.ucwa.people.subscription_service import SubscriptionService
from conference.ucwa.people.subscription_views import (
    ListSubscriptionViews,
    SubscriptionMembershipViews,
    SubscriptionViews,
)
from config.settings import Settings


class People:
    def __init__(
        self,
        pool: asyncpg.Pool,
        relay: Relay,
        settings: Settings,
        domain: str,
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
    ) -> None:
        """`domain`: of the addresses of users without e-mail."""
        changes = PersonChanges(pool, relay, now, new_id)
        self._now = now
        self.directory = Directory(pool, domain=domain, everyone=settings.ucwa_people_everyone)
        self._presence = PresenceService(
            changes,
            self.directory,
            Times(
                inactive_after=settings.ucwa_inactive_timeout,
                away_after=settings.ucwa_away_timeout,
            ),
        )
        self._subscriptions = SubscriptionService(
            changes, self.directory, warn_before=settings.ucwa_subscription_warning
        )
        self._contacts = ContactService(changes)
        self._own = MeService(changes)
        self._me = me.MeViews(self.directory, self._presence)

    def dashboard(self) -> dict[str, Hub]:
        return {"me": self._me.hub, "people": people.hub}

    def endpoints(self) -> list[Endpoint]:
        return [*self._of_me(), *self._of_people()]

    async def application_ended(self, application: Application) -> None:
        await self._subscriptions.application_ended(application)
        await self._presence.application_ended(application)

    async def application_resumed(self, application: Application) -> None:
        """It was away for long: what it had subscribed to it no longer has."""
        await self._subscriptions.application_ended(application)

    async def sweep(self) -> None:
        """One round of what no request does."""
        await alone("presence", self._presence.check())
        await alone("subscriptions", self._subscriptions.sweep())

    def _of_me(self) -> list[Endpoint]:
        return [
            *me.endpoints(self._me),
            *presence.endpoints(presence.PresenceViews(self._presence)),
            *note.endpoints(note.NoteViews(self._presence)),
            *location.endpoints(location.LocationViews(self._presence)),
            *phones.endpoints(phones.PhoneViews(self.directory, self._own)),
            *photo.endpoints(photo.PhotoViews(self.directory, self._own, self._now)),
            *call_forwarding.endpoints(call_forwarding.CallForwardingViews(self._own)),
        ]

    def _of_people(self) -> list[Endpoint]:
        cards = ContactCards(self.directory)
        views = ContactViews(self.directory, cards, self._presence, self._contacts)
        return [
            *people.endpoints(),
            *search.endpoints(search.SearchViews(self.directory, cards)),
            *contacts.endpoints(views),
            *groups.endpoints(
                groups.GroupViews(self._contacts, views),
                groups.GroupMembershipViews(self._contacts),
            ),
            *privacy.endpoints(privacy.PrivacyViews(self._contacts)),
            *subscription_endpoints.endpoints(
                SubscriptionViews(self._subscriptions, self._contacts, views),
                SubscriptionMembershipViews(self._subscriptions),
                ListSubscriptionViews(self._subscriptions),
            ),
        ]
