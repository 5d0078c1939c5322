"""Watching others: presence subscriptions of an application, and following the user's own contact list.

Both are leases. They end with the application, and before they expire the application is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from conference.errors import Forbidden, NotFound
from conference.services.periodic import alone
from conference.storage.meetings import Connection
from conference.ucwa.application import Application
from conference.ucwa.applications import store as applications
from conference.ucwa.people import subscription_store as subscriptions
from conference.ucwa.people.directory import Directory
from conference.ucwa.people.facts import (
    Change,
    UcwaContact,
    UcwaListed,
    UcwaListSubscription,
    UcwaSubscription,
)
from conference.ucwa.people.person_changes import Changing, PersonChanges
from conference.ucwa.people.subscription_store import Following, Subscription

WATCHED_MOST = 500
"""Addresses that one application may watch."""
SUBSCRIPTIONS_MOST = 100

_LONGEST = timedelta(minutes=30)
_AT_ONCE = 200


class SubscriptionService:
    def __init__(self, changes: PersonChanges, directory: Directory, *, warn_before: float) -> None:
        """`warn_before`: seconds before the end at which an application is told."""
        self._changes = changes
        self._directory = directory
        self._warn_before = timedelta(seconds=warn_before)

    # --- looking ------------------------------------------------------------------------------

    async def all(self, app: Application) -> list[Subscription]:
        async with self._changes.pool.acquire() as conn:
            return await subscriptions.of_application(conn, app.id, self._changes.clock())

    async def one(self, app: Application, subscription_id: str) -> Subscription:
        """Raises NotFound for one that is not the application's, or is over."""
        async with self._changes.pool.acquire() as conn:
            return await self._find(conn, app, subscription_id)

    # --- presence -----------------------------------------------------------------------------

    async def subscribe(
        self, app: Application, addresses: Collection[str], lasting: timedelta
    ) -> Subscription:
        """Raises Forbidden (LimitExceeded)."""
        seen = await self._directory.find_all(app.user_id, addresses)
        ids = [card.user.id for card in seen.values()]
        async with self._changes.of(app.user_id, ids) as change:
            there = await subscriptions.of_application(change.conn, app.id, change.now)
            if len(there) >= SUBSCRIPTIONS_MOST:
                raise Forbidden(
                    f"more than {SUBSCRIPTIONS_MOST} subscriptions", code="LimitExceeded"
                )
            expires_at = change.now + lasting
            created = await subscriptions.create(change.conn, app.id, app.user_id, expires_at)
            queues = await applications.queues_of(change.conn, app.id)
            change.tell(_news(created, "added", change.now), queues)
            await self._watch(change, app, created, addresses, seen, there)
            return await self._find(change.conn, app, str(created))

    async def watch(
        self, app: Application, subscription_id: str, addresses: Collection[str]
    ) -> Subscription:
        """Add addresses. Raises NotFound, Forbidden (LimitExceeded)."""
        seen = await self._directory.find_all(app.user_id, addresses)
        ids = [card.user.id for card in seen.values()]
        async with self._changes.of(app.user_id, ids) as change:
            found = await self._find(change.conn, app, subscription_id)
            there = await subscriptions.of_application(change.conn, app.id, change.now)
            await self._watch(change, app, found.id, addresses, seen, there)
            return await self._find(change.conn, app, subscription_id)

    async def extend(self, app: Application, subscription_id: str, by: timedelta) -> Subscription:
        """What is left and `by` together, at most half an hour. Raises NotFound."""
        async with self._changes.of(app.user_id) as change:
            found = await self._find(change.conn, app, subscription_id)
            expires_at = min(found.expires_at + by, change.now + _LONGEST)
            await subscriptions.extend(change.conn, found.id, expires_at)
            return msgspec.structs.replace(found, expires_at=expires_at)

    async def unsubscribe(self, app: Application, subscription_id: str) -> None:
        """Raises NotFound."""
        async with self._changes.of(app.user_id) as change:
            found = await self._find(change.conn, app, subscription_id)
            await subscriptions.remove(change.conn, found.id)
            await _tell_gone(change, found)

    async def unwatch(self, app: Application, subscription_id: str, address: str) -> None:
        """Raises NotFound."""
        async with self._changes.of(app.user_id) as change:
            found = await self._find(change.conn, app, subscription_id)
            if address not in found.addresses:
                raise NotFound("the subscription does not have that contact")
            await subscriptions.unwatch(change.conn, found.id, address)
            await _tell_unwatched(change, app.id, [address])

    async def _watch(
        self,
        change: Changing,
        app: Application,
        subscription_id: int,
        addresses: Collection[str],
        seen: Collection[str],
        there: Iterable[Subscription],
    ) -> None:
        """The rows of those who are `seen` are locked: what they publish next finds the subscription."""
        before = {address for each in there for address in each.addresses}
        new = [address for address in dict.fromkeys(addresses) if address not in before]
        if len(before) + len(new) > WATCHED_MOST:
            raise Forbidden(f"more than {WATCHED_MOST} contacts", code="LimitExceeded")
        await subscriptions.watch(change.conn, subscription_id, addresses)
        if not new:
            return
        queues = await applications.queues_of(change.conn, app.id)
        change.tell(_listed(new, "added", change.now), queues)
        if shown := [address for address in new if address in seen]:
            for what in ("contactPresence", "contactNote", "contactLocation"):
                change.tell(UcwaContact(sent_date=change.now, what=what, addresses=shown), queues)

    async def _find(self, conn: Connection, app: Application, subscription_id: str) -> Subscription:
        number = int(subscription_id) if _is_id(subscription_id) else 0
        found = await subscriptions.find(conn, app.id, number, self._changes.clock())
        if found is None:
            raise NotFound("no such subscription of this application; it may have expired")
        return found

    # --- the contact list ---------------------------------------------------------------------

    async def following(self, app: Application) -> Following | None:
        async with self._changes.pool.acquire() as conn:
            return await subscriptions.following(conn, app.id, self._changes.clock())

    async def follow(self, app: Application, lasting: timedelta) -> Following:
        """Begin, or go on for longer: at most half an hour from now on."""
        async with self._changes.of(app.user_id) as change:
            known = await subscriptions.following(change.conn, app.id, change.now)
            begins = known.expires_at if known else change.now
            expires_at = min(begins + lasting, change.now + _LONGEST)
            await subscriptions.follow(change.conn, app.id, app.user_id, expires_at)
        return Following(application_id=app.id, user_id=app.user_id, expires_at=expires_at)

    async def unfollow(self, app: Application) -> None:
        async with self._changes.of(app.user_id) as change:
            await subscriptions.unfollow(change.conn, app.id)

    # --- what no request does -----------------------------------------------------------------

    async def application_ended(self, app: Application) -> None:
        async with self._changes.pool.acquire() as conn:
            await subscriptions.remove_all(conn, app.id)

    async def sweep(self) -> None:
        """End what is over, announce what soon is. Every process may: one of them does."""
        now = self._changes.clock()
        warn_at = now + self._warn_before
        async with self._changes.pool.acquire() as conn:
            ending = await subscriptions.ending(conn, now, warn_at, _AT_ONCE)
            unfollowed = await subscriptions.followings_ending(conn, now, warn_at, _AT_ONCE)
        for subscription in ending:
            await alone(subscription.id, self._end_or_warn(subscription))
        for following in unfollowed:
            await alone(following.application_id, self._end_following(following))

    async def _end_or_warn(self, subscription: Subscription) -> None:
        async with self._changes.of(subscription.user_id) as change:
            if await subscriptions.claim_end(change.conn, subscription.id, change.now):
                await _tell_gone(change, subscription)
                return
            warn_at = change.now + self._warn_before
            if await subscriptions.claim_warning(change.conn, subscription.id, warn_at):
                queues = await applications.queues_of(change.conn, subscription.application_id)
                change.tell(_news(subscription.id, "updated", change.now), queues)

    async def _end_following(self, following: Following) -> None:
        async with self._changes.of(following.user_id) as change:
            warn_at = change.now + self._warn_before
            if await subscriptions.claim_following(
                change.conn, following.application_id, change.now, warn_at
            ):
                queues = await applications.queues_of(change.conn, following.application_id)
                change.tell(UcwaListSubscription(sent_date=change.now), queues)


async def _tell_gone(change: Changing, subscription: Subscription) -> None:
    queues = await applications.queues_of(change.conn, subscription.application_id)
    change.tell(_news(subscription.id, "deleted", change.now), queues)
    await _tell_unwatched(change, subscription.application_id, subscription.addresses)


async def _tell_unwatched(
    change: Changing, application_id: str, addresses: Collection[str]
) -> None:
    """Of those that no other subscription of the application has."""
    left = await subscriptions.of_application(change.conn, application_id, change.now)
    watched = {address for each in left for address in each.addresses}
    gone = [address for address in addresses if address not in watched]
    if gone:
        queues = await applications.queues_of(change.conn, application_id)
        change.tell(_listed(gone, "deleted", change.now), queues)


def _news(subscription_id: int, what: Change, now: datetime) -> UcwaSubscription:
    return UcwaSubscription(sent_date=now, subscription_id=str(subscription_id), change=what)


def _listed(addresses: list[str], what: Literal["added", "deleted"], now: datetime) -> UcwaListed:
    return UcwaListed(
        sent_date=now, addresses=addresses, change=what, collection="subscribedContacts"
    )


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
