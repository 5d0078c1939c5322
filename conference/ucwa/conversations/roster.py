"""Who is in a meeting and its lobby, with names: a snapshot for events and resources."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from conference.domain.directory import PhoneType
from conference.domain.meeting import Meeting
from conference.storage import users
from conference.storage.meetings import Connection
from conference.storage.users import Card, User
from conference.ucwa import sip
from conference.ucwa.applications import guests
from conference.ucwa.conversations import rules as rules
from conference.ucwa.conversations.facts import Person, Place, SourceNetwork

People = Mapping[UUID, Person]


async def people_in(
    conn: Connection, meeting: Meeting, ids: Collection[UUID], domain: str
) -> People:
    """Those of `ids` who are in the meeting or its waiting room, in the order of joining, the lobby last. `domain`:
    of the SIP URIs of people without an e-mail address."""
    if not ids:
        return {}
    known = {card.user.id: card for card in await users.cards(conn, ids)}
    anonymous = await guests.anonymous_users(conn, meeting.id)
    present = [user for user in [*meeting.participants, *meeting.queue] if user in ids]
    return {
        user: _person(meeting, known.get(user) or _nobody(user), user in anonymous, domain)
        for user in present
    }


def contacts_of(viewer: UUID, people: People, *, everyone: bool) -> frozenset[UUID]:
    """Whom of `people` the viewer, who is one of them, finds in the directory. `everyone`: also across companies."""
    own = people.get(viewer)
    if own is None or own.anonymous:
        return frozenset()
    return frozenset(
        user
        for user, person in people.items()
        if user != viewer and not person.anonymous and (everyone or person.org == own.org)
    )


def _nobody(user: UUID) -> Card:
    return Card(user=User(id=user, name=""))


def _person(meeting: Meeting, card: Card, anonymous: bool, domain: str) -> Person:
    user = card.user
    participant = meeting.participants.get(user.id)
    return Person(
        user_id=user.id,
        name=user.name,
        uri=sip.uri_of(user, domain),
        org=user.org,
        place=_place(meeting, user.id),
        organizer=user.id == meeting.owner_id,
        anonymous=anonymous,
        source_network=_network(meeting, user, anonymous),
        work_phone=card.profile.number_on_card(PhoneType.WORK),
        other_phone=card.profile.number_on_card(PhoneType.OTHER),
        modalities=rules.modalities_of(participant) if participant else (),
    )


def _place(meeting: Meeting, user: UUID) -> Place:
    if user not in meeting.participants:
        return "lobby"
    return "leaders" if meeting.is_moderator(user) else "attendees"


def _network(meeting: Meeting, user: User, anonymous: bool) -> SourceNetwork | None:
    """Seen from the organizer; a meeting that has no door keeps no company."""
    if anonymous:
        return "Everyone"
    if meeting.door is None:
        return None
    own = user.org.lower() == meeting.door.organizer_org.lower()
    return "SameEnterprise" if own else "Federated"
