"""Participants of a conversation: everyone, by role, one by one, and oneself. What leaders do to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from conference.errors import NotFound
from conference.ucwa import sip
from conference.ucwa.application import Application
from conference.ucwa.conversations import hrefs
from conference.ucwa.conversations.facts import Modality, Person, Place
from conference.ucwa.conversations.path import EITHER, conversation_id, user_id
from conference.ucwa.conversations.rules import used
from conference.ucwa.conversations.service import ConversationService, Open
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.resource import Link, Resource, Value
from conference.ucwa.people import hrefs as people_hrefs

MODALITY_REL: dict[Modality, str] = {
    Modality.AUDIO: "participantAudio",
    Modality.VIDEO: "participantVideo",
    Modality.APPLICATION_SHARING: "participantApplicationSharing",
}
_SOURCE: dict[Modality, str] = {
    Modality.AUDIO: "audioSourceId",
    Modality.VIDEO: "videoSourceId",
    Modality.APPLICATION_SHARING: "applicationSharingSourceId",
}
"""Names whose stream it is in calls of media."""

Act = Callable[[Application, UUID, UUID], Awaitable[None]]


class ParticipantViews:
    def __init__(self, service: ConversationService) -> None:
        self._service = service

    async def all(self, call: Call) -> Reply:
        found = await self._service.with_people(call.app, conversation_id(call))
        return Reply(resource=_links(found, "participants", ("leaders", "attendees", "lobby")))

    async def leaders(self, call: Call) -> Reply:
        return Reply(resource=_links(await self._inside(call), "leaders", ("leaders",)))

    async def attendees(self, call: Call) -> Reply:
        return Reply(resource=_links(await self._inside(call), "attendees", ("attendees",)))

    async def one(self, call: Call) -> Reply:
        return Reply(resource=_shown(*await self._person(call)))

    async def local(self, call: Call) -> Reply:
        found = await self._service.with_people(call.app, conversation_id(call), call.app.user_id)
        person = found.people.get(call.app.user_id)
        if person is None:
            raise _no_participant()
        return Reply(resource=local_participant(found.meeting.id, person))

    async def modality(self, call: Call) -> Reply:
        found, person = await self._person(call)
        rel = call.params["modality"]
        for modality in used(person.place, person.modalities):
            if MODALITY_REL[modality] == rel:
                viewer, leader = found.conversation.user_id, found.view.leader
                return Reply(
                    resource=participant_modality(
                        found.meeting.id, person, modality, viewer, leader=leader
                    )
                )
        raise NotFound("the participant does not use this modality now")

    def doing(self, act: Act) -> Callable[[Call], Awaitable[Reply]]:
        async def view(call: Call) -> Reply:
            await act(call.app, conversation_id(call), user_id(call))
            return Reply(status=204)

        return view

    async def _inside(self, call: Call) -> Open:
        """Roles are seen by those who are in."""
        found = await self._service.with_people(call.app, conversation_id(call))
        if found.sight.standing != "in":
            raise NotFound("you are not in the meeting yet")
        return found

    async def _person(self, call: Call) -> tuple[Open, Person]:
        wanted = user_id(call)
        found = await self._service.with_people(call.app, conversation_id(call), wanted)
        person = found.people.get(wanted)
        if person is None:
            raise _no_participant()
        return found, person


def _no_participant() -> NotFound:
    return NotFound("no such participant in this conversation")


def _links(found: Open, rel: str, places: tuple[Place, ...]) -> Resource:
    meeting_id = found.meeting.id
    chosen = [
        Link(hrefs.participant(meeting_id, person.user_id), title=person.name or None)
        for person in found.people.values()
        if person.user_id in found.sight.people and person.place in places
    ]
    return Resource(
        rel=rel, href=f"{hrefs.conversation(meeting_id)}/{rel}", links={"participant": chosen}
    )


def _shown(found: Open, person: Person) -> Resource:
    return participant(
        found.meeting.id,
        person,
        found.conversation.user_id,
        leader=found.view.leader,
        contact=person.user_id in found.contacts,
    )


def participant(
    meeting_id: UUID,
    person: Person,
    viewer: UUID,
    *,
    leader: bool,
    contact: bool = False,
    rel: str = "participant",
) -> Resource:
    """`leader`: whether the viewer may do what leaders do; a link is there for what may be done now. `contact`:
    whether the viewer finds the person in the directory."""
    local = person.user_id == viewer
    href = hrefs.participant(meeting_id, person.user_id)
    links = {"conversation": Link(hrefs.conversation(meeting_id))}
    if local:
        links["me"] = Link("me")
    if contact:
        links |= _contact(person)
    for modality in used(person.place, person.modalities):
        links[MODALITY_REL[modality]] = Link(modality_href(meeting_id, person.user_id, modality))
    if leader and not local:
        links |= {name: Link(f"{href}/{name}") for name in _allowed(person)}
    properties = _properties(person, local)
    if contact or local:
        properties |= _numbers(person)
    return Resource(rel=rel, href=href, properties=properties, links=links)


def local_participant(meeting_id: UUID, person: Person, rel: str = "localParticipant") -> Resource:
    """The user as a participant; nobody admits or ejects themselves."""
    own = participant(meeting_id, person, person.user_id, leader=False, rel=rel)
    return Resource(
        rel=rel,
        href=hrefs.local_participant(meeting_id),
        properties=own.properties,
        links=own.links,
    )


def _contact(person: Person) -> dict[str, Link]:
    address = sip.address(person.uri)
    parts = ("contactPhoto", "contactPresence")
    return {
        "contact": Link(people_hrefs.contact(address)),
        **{part: Link(people_hrefs.of_contact(address, part)) for part in parts},
    }


def _allowed(person: Person) -> tuple[str, ...]:
    """Who waits can be let in or turned away, and nothing else; an organizer is neither ejected nor demoted."""
    if person.in_lobby:
        return ("admit", "reject")
    if person.organizer:
        return ()
    return ("eject", "demote" if person.place == "leaders" else "promote")


def _numbers(person: Person) -> dict[str, Value]:
    """For those who find the person's card in the directory."""
    given = {"otherPhoneNumber": person.other_phone, "workPhoneNumber": person.work_phone}
    return {name: number for name, number in given.items() if number}


def _properties(person: Person, local: bool) -> dict[str, Value]:
    properties: dict[str, Value] = {
        "anonymous": person.anonymous,
        "inLobby": person.in_lobby,
        "local": local,
        "name": person.name,
        "organizer": person.organizer,
        "role": "Leader" if person.place == "leaders" else "Attendee",
        "uri": person.uri,
    }
    if person.source_network is not None:
        properties["sourceNetwork"] = person.source_network
    return properties


def modality_href(meeting_id: UUID, user: UUID, modality: Modality) -> str:
    return f"{hrefs.participant(meeting_id, user)}/{MODALITY_REL[modality]}"


def participant_modality(
    meeting_id: UUID, person: Person, modality: Modality, viewer: UUID, *, leader: bool
) -> Resource:
    """`leader`: whether the viewer may do what leaders do."""
    href = modality_href(meeting_id, person.user_id, modality)
    properties: dict[str, Value] = {_SOURCE[modality]: str(person.user_id)}
    links = {"participant": Link(hrefs.participant(meeting_id, person.user_id))}
    if modality is Modality.AUDIO:
        muted = Modality.AUDIO not in person.modalities
        properties["audioDirection"] = "ReceiveOnly" if muted else "SendReceive"
        properties["audioMuted"] = muted
        may = _may_unmute(person, viewer) if muted else _may_mute(person, viewer, leader)
        if may:
            act = "unmuteAudio" if muted else "muteAudio"
            links[act] = Link(f"{href}/{act}")
    return Resource(rel=MODALITY_REL[modality], href=href, properties=properties, links=links)


def _may_mute(person: Person, viewer: UUID, leader: bool) -> bool:
    return leader or person.user_id == viewer


def _may_unmute(person: Person, viewer: UUID) -> bool:
    """Nobody opens the microphone of somebody else."""
    return person.user_id == viewer


def endpoints(views: ParticipantViews, service: ConversationService) -> list[Endpoint]:
    conversation = "communication/conversations/{conversationId}"
    one = f"{conversation}/participants/{{userId}}"
    lists = [
        ("participants", views.all, "Everyone in the conversation"),
        ("leaders", views.leaders, "Those who lead the meeting"),
        ("attendees", views.attendees, "Those who attend the meeting"),
        ("localParticipant", views.local, "You, as a participant"),
    ]
    acts: list[tuple[str, Act, str]] = [
        ("admit", service.admit, "Let somebody in from the lobby"),
        ("reject", service.reject, "Turn somebody in the lobby away"),
        ("eject", service.eject, "Take somebody out of the meeting"),
        ("promote", service.promote, "Make an attendee a leader"),
        ("demote", service.demote, "Make a leader an attendee"),
    ]
    microphones: list[tuple[str, Act, str]] = [
        ("muteAudio", service.mute, "Close your microphone, or as a leader somebody else's"),
        ("unmuteAudio", service.unmute, "Open your microphone"),
    ]
    return [
        *(
            Endpoint(
                method="GET",
                path=f"{conversation}/{rel}",
                view=view,
                rel=rel,
                summary=summary,
                scopes=EITHER,
            )
            for rel, view, summary in lists
        ),
        Endpoint(
            method="GET",
            path=one,
            view=views.one,
            rel="participant",
            summary="One participant, with links to what you may do now",
            scopes=EITHER,
        ),
        Endpoint(
            method="GET",
            path=f"{one}/{{modality}}",
            view=views.modality,
            rel="participantAudio",
            summary="participantAudio: whether somebody is muted; participantVideo, "
            "participantApplicationSharing: there while they are sent",
            scopes=EITHER,
        ),
        *(
            Endpoint(
                method="POST",
                path=f"{one}/{rel}",
                view=views.doing(act),
                rel=rel,
                summary=f"{summary}: leaders only",
                scopes=EITHER,
                returns=204,
            )
            for rel, act, summary in acts
        ),
        *(
            Endpoint(
                method="POST",
                path=f"{one}/participantAudio/{rel}",
                view=views.doing(act),
                rel=rel,
                summary=summary,
                scopes=EITHER,
                returns=204,
            )
            for rel, act, summary in microphones
        ),
    ]
