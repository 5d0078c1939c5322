"""me: the application's own user, made available for others, and reported to be active."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from conference.api.auth import Caller
from conference.domain.directory import PhoneType, Profile
from conference.storage.users import Card, User
from conference.ucwa.application import Application
from conference.ucwa.applications.communication import (
    AudioPreference,
    IncomingModality,
    MessageFormat,
)
from conference.ucwa.engine import documents
from conference.ucwa.engine.call import Call, Endpoint, Reply, Scope
from conference.ucwa.engine.inputs import Inputs, wrong
from conference.ucwa.engine.news import Renderers
from conference.ucwa.engine.resource import Link, NewsItem, Resource, Target, Value
from conference.ucwa.people import hrefs as hrefs
from conference.ucwa.people.directory import Directory
from conference.ucwa.people.facts import UcwaMe
from conference.ucwa.people.presence_rules import Preferred
from conference.ucwa.people.presence_service import PresenceService, Wishes

Kind = TypeVar("Kind", bound=StrEnum)

_SCOPES: frozenset[Scope] = frozenset(("User.ReadWrite",))
_AVAILABLE_SCOPES: frozenset[Scope] = frozenset(("User.ReadWrite", "Conversations.Receive"))
_SPAN = re.compile(r"(\d{1,3}):(\d{2}):(\d{2})(?:\.\d+)?")
_DURATION = re.compile(r"PT(?:(\d{1,4})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?", re.IGNORECASE)
_INACTIVE_LEAST, _INACTIVE_MOST = timedelta(minutes=1), timedelta(days=1)


class MeViews:
    def __init__(self, directory: Directory, presence: PresenceService) -> None:
        self._directory = directory
        self._presence = presence

    async def hub(self, application: Application, caller: Caller) -> Resource:
        """me, as the dashboard embeds it."""
        if application.anonymous:
            return anonymous(caller, self._directory)
        card = await self._directory.card(application.user_id)
        return me(application, card, self._directory.uri_of(card))

    async def get(self, call: Call) -> Reply:
        return Reply(resource=await self.hub(call.app, call.caller))

    async def make_available(self, call: Call) -> Reply:
        await self._presence.make_available(call.app, _wishes(call.inputs))
        if call.revision == 1:
            return Reply(status=204)
        return Reply(status=201, location=hrefs.ME, document=documents.operations_queued())

    async def report_activity(self, call: Call) -> Reply:
        await self._presence.report_activity(call.app)
        return Reply(status=204)


def endpoints(views: MeViews) -> list[Endpoint]:
    return [
        Endpoint(method="GET", path=hrefs.ME, view=views.get, rel="me", summary="The user"),
        Endpoint(
            method="POST",
            path=hrefs.MAKE_ME_AVAILABLE,
            view=views.make_available,
            rel="makeMeAvailable",
            summary="Be seen by others, and be reached",
            scopes=_AVAILABLE_SCOPES,
            anonymous=False,
            revision=2,
            returns=201,
            returns_known=204,
            document=documents.OperationsQueued,
            inputs={
                "signInAs": "Online, Busy, DoNotDisturb, BeRightBack, Away or Offwork",
                "inactiveTimeout": "minutes, or hh:mm:ss, until the user counts as inactive",
                "supportedModalities": "list: Audio, Video, PhoneAudio, Messaging, ...",
                "supportedMessageFormats": "list: Plain, Html",
                "audioPreference": "PhoneAudio or VoipAudio",
                "phoneNumber": "where the user can be called",
                "voipFallbackToPhoneAudioTimeOut": "read, and not used: nobody is called by phone",
            },
        ),
        Endpoint(
            method="POST",
            path=hrefs.REPORT_MY_ACTIVITY,
            view=views.report_activity,
            rel="reportMyActivity",
            summary="The user is active: stay available",
            scopes=_SCOPES,
            anonymous=False,
            returns=204,
        ),
    ]


def me(application: Application, card: Card, uri: str) -> Resource:
    profile = card.profile
    given = {
        "name": card.user.name,
        "uri": uri,
        "emailAddresses": [card.user.email] if card.user.email else [],
        "title": profile.title,
        "department": profile.department,
        "company": profile.company or card.user.org,
        "officeLocation": profile.office_location,
        "endpointUri": f"{uri};opaque=user:epid:{application.id};gruu",
        **numbers(profile),
    }
    return Resource(rel="me", href=hrefs.ME, properties=present(given), links=_links(application))


def anonymous(caller: Caller, directory: Directory) -> Resource:
    """Somebody with a token for one meeting has a name and no more."""
    card = Card(user=User(id=caller.user_id, name=caller.name))
    properties = present({"name": caller.name, "uri": directory.uri_of(card)})
    return Resource(rel="me", href=hrefs.ME, properties=properties)


def numbers(profile: Profile, *, on_card: bool = False) -> dict[str, Value]:
    """`workPhoneNumber` and the like. `on_card`: only what others may see."""
    return {
        f"{kind.value.lower()}PhoneNumber": phone.number
        for kind in PhoneType
        if (phone := profile.phone(kind)).include_in_contact_card or not on_card
    }


def present(given: dict[str, Value]) -> dict[str, Value]:
    """What says something: a property that would be empty is left out."""
    return {name: value for name, value in given.items() if value not in ("", [])}


def _links(application: Application) -> dict[str, Link]:
    found = {
        "callForwardingSettings": Link(hrefs.CALL_FORWARDING),
        "phones": Link(hrefs.PHONES),
        "photo": Link(hrefs.PHOTO),
    }
    if not application.available:
        return {"makeMeAvailable": Link(hrefs.MAKE_ME_AVAILABLE, revision="2"), **found}
    return {
        **found,
        "presence": Link(hrefs.own("presence")),
        "note": Link(hrefs.own("note")),
        "location": Link(hrefs.own("location")),
        "reportMyActivity": Link(hrefs.REPORT_MY_ACTIVITY),
    }


# --- inputs -----------------------------------------------------------------------------------


def _wishes(inputs: Inputs) -> Wishes:
    return Wishes(
        sign_in_as=inputs.choice("signInAs", Preferred),
        inactive_after=_inactive_after(inputs),
        supported_modalities=_terms(inputs, "supportedModalities", IncomingModality),
        supported_message_formats=_terms(inputs, "supportedMessageFormats", MessageFormat),
        audio_preference=inputs.choice("audioPreference", AudioPreference),
        phone_number=inputs.text("phoneNumber", 100),
    )


def _terms(inputs: Inputs, name: str, kind: type[Kind]) -> tuple[Kind, ...] | None:
    given = inputs.texts(name)
    if given is None:
        return None
    by_name = {member.value.lower(): member for member in kind}
    if unknown := [each for each in given if each.lower() not in by_name]:
        raise wrong(name, f"{unknown[0]!r} is none of {', '.join(kind)}")
    return tuple(dict.fromkeys(by_name[each.lower()] for each in given))


def _inactive_after(inputs: Inputs) -> float | None:
    """In seconds, of minutes, a .NET time span, or a duration of ISO 8601."""
    text = inputs.text("inactiveTimeout", 32)
    if text is None:
        return None
    span = _span(text.strip())
    if span is None or not _INACTIVE_LEAST <= span <= _INACTIVE_MOST:
        raise wrong("inactiveTimeout", "must be minutes, from 1 to 1440, or a time as 00:05:00")
    return span.total_seconds()


def _span(text: str) -> timedelta | None:
    if text.isascii() and text.isdigit() and len(text) <= 6:
        return timedelta(minutes=int(text))
    if found := _SPAN.fullmatch(text) or _DURATION.fullmatch(text):
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return None


# --- events -----------------------------------------------------------------------------------


def _news(event: UcwaMe, application: Application) -> list[NewsItem]:
    sender = Target(rel="me", href=hrefs.ME)
    about = sender if event.what == "me" else Target(rel=event.what, href=hrefs.own(event.what))
    return [NewsItem(sender=sender, type=event.change, link=about)]


NEWS: Renderers = {UcwaMe: _news}
