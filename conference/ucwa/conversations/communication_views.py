"""communication: how an application is reached, and where it joins and starts meetings."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from msgspec.structs import replace

from conference.api.auth import Caller
from conference.ucwa.application import Application
from conference.ucwa.applications.communication import (
    AudioPreference,
    Communication,
    CommunicationChanged,
    GenericPolicy,
    IncomingModality,
    MessageFormat,
)
from conference.ucwa.applications.communication_service import CommunicationService
from conference.ucwa.conversations import hrefs
from conference.ucwa.conversations.facts import Importance
from conference.ucwa.conversations.joining import Joiner, JoiningService, Wanted
from conference.ucwa.conversations.path import EITHER, INITIATE
from conference.ucwa.engine import etags
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.inputs import Choice, Inputs, wrong
from conference.ucwa.engine.resource import Link, NewsItem, Resource, Target

JOIN = "communication/joinOnlineMeeting"
START = "communication/startOnlineMeeting"
AD_HOC = "adhoc"
"""An onlineMeetingUri that older clients start an ad-hoc meeting with, at the address for joining."""

_OPERATION_LONGEST = 50
_SUBJECT_LONGEST = 250
_NAME_LONGEST = 250
_PHONE_LONGEST = 100


class Applications(Protocol):
    async def channel(self, application_id: str, instance_id: str | None) -> UUID: ...


class CommunicationViews:
    def __init__(
        self,
        service: CommunicationService,
        joining: JoiningService,
        applications: Applications,
    ) -> None:
        self._service = service
        self._joining = joining
        self._applications = applications

    async def shown(self, application: Application, caller: Caller) -> Resource:
        """As it is embedded in the application's dashboard."""
        return tagged(application, await self._service.get(application))

    async def get(self, call: Call) -> Reply:
        shown = await self.shown(call.app, call.caller)
        return Reply(resource=shown, etag=shown.etag)

    async def put(self, call: Call) -> Reply:
        """What is absent returns to its default."""
        given = _communication(call.inputs)

        def unchanged(current: Communication) -> None:
            call.require_match(str(tagged(call.app, current).etag))

        await self._service.replace(call.app, given, unchanged)
        return Reply(status=204, etag=tagged(call.app, given).etag)

    async def join(self, call: Call) -> Reply:
        """With the address that says ad hoc, a new meeting is joined."""
        inputs = call.inputs
        address = inputs.text("onlineMeetingUri") or inputs.text("joinUrl")
        if not address:
            raise wrong("onlineMeetingUri", "is required")
        if address == AD_HOC:
            return await self.start(call)
        wanted = _wanted(inputs, call.caller)
        queue_id = await self._applications.channel(call.app.id, call.instance_id)
        begun = await self._joining.join(call.app, queue_id, _joiner(call.caller), address, wanted)
        return Reply(status=201, location=hrefs.invitation(begun))

    async def start(self, call: Call) -> Reply:
        if call.caller.meeting is not None:
            raise wrong("onlineMeetingUri", "is required of anonymous users")
        wanted = _wanted(call.inputs, call.caller)
        queue_id = await self._applications.channel(call.app.id, call.instance_id)
        begun = await self._joining.start(call.app, queue_id, _joiner(call.caller), wanted)
        return Reply(status=201, location=hrefs.invitation(begun))


def _wanted(inputs: Inputs, caller: Caller) -> Wanted:
    """Only somebody anonymous says who they are; for others their account does."""
    name = ""
    if caller.meeting is not None:
        name = inputs.text("anonymousDisplayName", _NAME_LONGEST) or caller.name
        if not name.strip():
            raise wrong("anonymousDisplayName", "is required of anonymous users")
    return Wanted(
        operation_id=inputs.text("operationId", _OPERATION_LONGEST) or "",
        subject=inputs.text("subject", _SUBJECT_LONGEST) or "",
        importance=inputs.choice("importance", Importance) or Importance.NORMAL,
        thread_id=inputs.text("threadId", _SUBJECT_LONGEST) or "",
        anonymous_display_name=name.strip(),
    )


def _joiner(caller: Caller) -> Joiner:
    return Joiner(
        user_id=caller.user_id,
        name=caller.name,
        email=caller.email,
        org=caller.org,
        meeting=caller.meeting,
    )


def _communication(inputs: Inputs) -> Communication:
    given = Communication()
    return Communication(
        supported_modalities=_choices(inputs, "supportedModalities", IncomingModality),
        supported_message_formats=_choices(inputs, "supportedMessageFormats", MessageFormat),
        audio_preference=inputs.choice("audioPreference", AudioPreference)
        or given.audio_preference,
        phone_number=inputs.text("phoneNumber", _PHONE_LONGEST) or "",
        conversation_history=inputs.choice("conversationHistory", GenericPolicy)
        or given.conversation_history,
    )


def _choices(inputs: Inputs, name: str, kind: type[Choice]) -> tuple[Choice, ...]:
    """Each once, in the order given."""
    items = [Inputs({name: text}).choice(name, kind) for text in inputs.texts(name) or []]
    return tuple(dict.fromkeys(item for item in items if item is not None))


def communication(application: Application, shown: Communication) -> Resource:
    """There is no messaging and no phone here, so nothing links to them. A conversation goes with the instance that
    joined, so that each joins at an address of its own."""
    links = {
        "conversations": Link(f"{hrefs.CONVERSATIONS}?filter=active"),
        "joinOnlineMeeting": Link(hrefs.for_instance(JOIN, application)),
    }
    if not application.anonymous:
        links["startOnlineMeeting"] = Link(hrefs.for_instance(START, application))
    return Resource(
        rel="communication",
        href=hrefs.for_instance(hrefs.COMMUNICATION, application),
        properties={
            "audioPreference": shown.audio_preference.value,
            "conversationHistory": shown.conversation_history.value,
            "phoneNumber": shown.phone_number,
            "supportedMessageFormats": [item.value for item in shown.supported_message_formats],
            "supportedModalities": [item.value for item in shown.supported_modalities],
            **etags.put_token(application.id, "communication"),
        },
        links=links,
    )


def tagged(application: Application, shown: Communication) -> Resource:
    """With the etag that it has for all instances: they change one thing."""
    common = communication(replace(application, instance_id=""), shown)
    return replace(communication(application, shown), etag=etags.of(common))


def sender(application: Application) -> Target:
    """As the one that events come from."""
    return Target(rel="communication", href=hrefs.for_instance(hrefs.COMMUNICATION, application))


def changed(event: CommunicationChanged, application: Application) -> list[NewsItem]:
    target, shown = sender(application), tagged(application, event.communication)
    return [NewsItem(sender=target, type="updated", link=target, resource=shown)]


def endpoints(views: CommunicationViews) -> list[Endpoint]:
    operation = {
        "operationId": "comes back in the events of this operation, which is not begun twice; at most 50 characters",
        "subject": "at most 250 characters; names a new meeting",
        "importance": "Normal, Urgent or Emergency",
        "threadId": "the conversation's thread",
    }
    address = {
        "onlineMeetingUri": "the meeting's onlineMeetingUri; required unless joinUrl is given",
        "joinUrl": "the address of the meeting's page",
        "anonymousDisplayName": "the name of anonymous users, of whom it is required",
    }
    return [
        Endpoint(
            method="GET",
            path="communication",
            view=views.get,
            rel="communication",
            summary="How you are reached, and links to join and start meetings",
            scopes=EITHER,
        ),
        Endpoint(
            method="PUT",
            path="communication",
            view=views.put,
            rel="communication",
            summary="Change how you are reached; what is left out returns to its default",
            scopes=EITHER,
            inputs={
                "supportedModalities": "Audio, Video, PhoneAudio, ApplicationSharing, Messaging, ...",
                "supportedMessageFormats": "Plain, Html",
                "audioPreference": "VoipAudio or PhoneAudio",
                "phoneNumber": "at most 100 characters",
                "conversationHistory": "None, Disabled or Enabled",
            },
            returns=204,
        ),
        Endpoint(
            method="POST",
            path=JOIN,
            view=views.join,
            rel="joinOnlineMeeting",
            summary="Join an online meeting: begins an onlineMeetingInvitation and a conversation",
            scopes=INITIATE,
            inputs={**address, **operation},
            query={"instanceId": "whose channel joins; events of the meeting come there"},
            returns=201,
            empty=True,
        ),
        Endpoint(
            method="POST",
            path=START,
            view=views.start,
            rel="startOnlineMeeting",
            summary="Make an ad-hoc meeting and join it",
            scopes=frozenset(("Meetings.ReadWrite", "Conversations.Initiate")),
            inputs=operation,
            query={"instanceId": "whose channel joins"},
            anonymous=False,
            returns=201,
            empty=True,
        ),
    ]
