"""Presence, note and location: what users publish, what is shown of it, and who is told."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec.structs import replace

from conference.errors import Conflict
from conference.services.periodic import alone
from conference.storage import users
from conference.ucwa.application import Application
from conference.ucwa.applications import (
    communication_store as communications,
)
from conference.ucwa.applications import (
    store as applications,
)
from conference.ucwa.applications.communication import (
    AudioPreference,
    Communication,
    IncomingModality,
    MessageFormat,
)
from conference.ucwa.applications.communication_service import changed
from conference.ucwa.people import presence_rules as rules
from conference.ucwa.people import store as people
from conference.ucwa.people.directory import Directory
from conference.ucwa.people.facts import UcwaContact, UcwaMe
from conference.ucwa.people.person_changes import Changing, PersonChanges
from conference.ucwa.people.presence_rules import Preferred
from conference.ucwa.people.store import Person

T = TypeVar("T")
Own = Literal["presence", "note", "location"]

_OF_CONTACT: dict[Own, Literal["contactPresence", "contactNote", "contactLocation"]] = {
    "presence": "contactPresence",
    "note": "contactNote",
    "location": "contactLocation",
}
_AT_ONCE = 500


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds: until a program without a report counts as inactive, and from then on until its user is away."""

    inactive_after: float
    away_after: float


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """How a user wants to be available. None: as before, or by default. `inactive_after` in seconds."""

    sign_in_as: Preferred | None = None
    inactive_after: float | None = None
    supported_modalities: tuple[IncomingModality, ...] | None = None
    supported_message_formats: tuple[MessageFormat, ...] | None = None
    audio_preference: AudioPreference | None = None
    phone_number: str | None = None

    def reached(self, before: Communication) -> Communication:
        """How the application wants to be reached from now on."""
        return Communication(
            supported_modalities=_first(self.supported_modalities, before.supported_modalities),
            supported_message_formats=_first(
                self.supported_message_formats, before.supported_message_formats
            ),
            audio_preference=_first(self.audio_preference, before.audio_preference),
            phone_number=_first(self.phone_number, before.phone_number),
            conversation_history=before.conversation_history,
        )


class PresenceService:
    """Raises Conflict (MakeMeAvailableRequired) wherever an application asks that did not make its user available."""

    def __init__(self, changes: PersonChanges, directory: Directory, times: Times) -> None:
        self._changes = changes
        self._directory = directory
        self._times = times

    async def make_available(self, app: Application, wishes: Wishes) -> None:
        """Raises Conflict (AlreadyExists) for an application that did so before."""
        async with self._changes.of(app.user_id) as change:
            if not await applications.make_available(change.conn, app.id, change.now):
                raise Conflict(
                    "this application made its user available already", code="AlreadyExists"
                )
            after = wishes.inactive_after or self._times.inactive_after
            await people.add_source(change.conn, app.id, after)
            queues = await _welcome(change, app, wishes)
            if wishes.sign_in_as is not None:
                preferred = rules.signed_in_as(wishes.sign_in_as)
                change.person = replace(change.person, preferred=preferred)
            await self._refresh(change, besides=queues)

    async def report_activity(self, app: Application) -> None:
        async with self._changes.of(app.user_id) as change:
            if not await applications.report_activity(change.conn, app.id, change.now):
                raise _not_available()
            await self._refresh(change)

    async def published(self, app: Application) -> Person:
        """What the application's user publishes."""
        _require_available(app)
        return await self.of(app.user_id)

    async def of(self, user_id: UUID) -> Person:
        """What somebody publishes. Whoever asks must be one who may see them."""
        async with self._changes.pool.acquire() as conn:
            return await people.read(conn, user_id)

    async def choose(self, app: Application, preferred: Preferred | None) -> None:
        """None: leave it to the rules."""
        _require_available(app)
        async with self._changes.of(app.user_id) as change:
            change.person = replace(change.person, preferred=preferred)
            await self._refresh(change)

    async def set_note(self, app: Application, note: str) -> None:
        _require_available(app)
        async with self._changes.of(app.user_id) as change:
            if change.person.note != note:
                change.person = replace(change.person, note=note)
                await self._tell(change, "note")

    async def set_location(self, app: Application, location: str) -> None:
        _require_available(app)
        async with self._changes.of(app.user_id) as change:
            if change.person.location != location:
                change.person = replace(change.person, location=location)
                await self._tell(change, "location")

    # --- what no request does -----------------------------------------------------------------

    async def application_ended(self, app: Application) -> None:
        """With the last one the user is offline, and what was chosen is chosen no more."""
        if app.anonymous:
            return
        async with self._changes.of(app.user_id) as change:
            await people.remove_source(change.conn, app.id)
            if not await people.sources(change.conn, app.user_id):
                change.person = replace(change.person, preferred=None)
            await self._refresh(change)

    async def check(self) -> None:
        """Show what the time, or a meeting, made of people. Every process may."""
        async with self._changes.pool.acquire() as conn:
            due = await people.due(conn, self._changes.clock(), _AT_ONCE)
        for user_id in due:
            await alone(user_id, self._look_again(user_id))

    async def _look_again(self, user_id: UUID) -> None:
        async with self._changes.of(user_id) as change:
            await self._refresh(change)

    async def _refresh(self, change: Changing, besides: Collection[UUID] = ()) -> None:
        """Find out what is to be shown; tell of it when that is something else."""
        away_after = self._times.away_after
        sources = await people.sources(change.conn, change.user_id)
        in_meeting = await people.in_meeting(change.conn, change.user_id)
        before = change.person
        change.person = replace(
            before,
            shown=rules.shown(
                before.preferred, sources, change.now, away_after=away_after, in_meeting=in_meeting
            ),
            in_meeting=in_meeting,
            last_active=rules.last_active(sources) or before.last_active,
            due_at=rules.changes_at(sources, change.now, away_after=away_after),
        )
        if change.person.shown != before.shown:
            await self._tell(change, "presence", besides)

    async def _tell(self, change: Changing, what: Own, besides: Collection[UUID] = ()) -> None:
        """`besides`: channels that know already."""
        own = await people.own_queues(change.conn, change.user_id)
        change.tell(
            UcwaMe(sent_date=change.now, what=what, change="updated"), own.difference(besides)
        )
        card = await users.card(change.conn, change.user_id)
        if card is None:
            return
        address = self._directory.address_of(card)
        watching = await people.watching_queues(
            change.conn, address, self._directory.seen_by(card), change.now
        )
        told = UcwaContact(sent_date=change.now, what=_OF_CONTACT[what], addresses=[address])
        change.tell(told, watching)


async def _welcome(change: Changing, app: Application, wishes: Wishes) -> frozenset[UUID]:
    """Tell the application what it has now; its channels."""
    reached = wishes.reached(await communications.lock(change.conn, app.id))
    await communications.save(change.conn, app.id, reached)
    change.told.append(await changed(change.conn, app.id, reached, change.now))
    queues = frozenset(await applications.queues_of(change.conn, app.id))
    change.tell(UcwaMe(sent_date=change.now, what="me", change="updated"), queues)
    for what in _OF_CONTACT:
        change.tell(UcwaMe(sent_date=change.now, what=what, change="added"), queues)
    return queues


def _first(given: T | None, before: T) -> T:
    return before if given is None else given


def _require_available(app: Application) -> None:
    if not app.available:
        raise _not_available()


def _not_available() -> Conflict:
    return Conflict(
        "the user is not available yet: use makeMeAvailable first", code="MakeMeAvailableRequired"
    )
