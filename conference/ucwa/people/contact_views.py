"""contact: a person; with what that person publishes, and the lists of contacts of the user."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from conference.storage.users import Card
from conference.ucwa.engine import etags
from conference.ucwa.engine.call import Call, Endpoint, Reply, Scope
from conference.ucwa.engine.resource import Link, Resource, Value
from conference.ucwa.people import hrefs as hrefs
from conference.ucwa.people import me_views as me
from conference.ucwa.people import note
from conference.ucwa.people.contact_service import ContactService
from conference.ucwa.people.directory import Directory
from conference.ucwa.people.path import address_of, expanded, uri_in
from conference.ucwa.people.presence_service import PresenceService
from conference.ucwa.people.store import Person

SCOPES: frozenset[Scope] = frozenset(("Contacts.ReadWrite",))
ANY: frozenset[Scope] = frozenset(
    (
        "User.ReadWrite",
        "Contacts.ReadWrite",
        "Conversations.Initiate",
        "Conversations.Receive",
        "Meetings.ReadWrite",
    )
)
EXPAND = {"expand": "false: links alone, with nothing embedded"}

_ONE = f"{hrefs.PEOPLE}/{{address}}"


class ContactCards:
    """Contacts as resources. An address at which the viewer sees nobody is a contact with a URI alone."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def at(self, viewer: UUID, addresses: Collection[str]) -> list[Resource]:
        """In the order of the addresses."""
        found = await self._directory.find_all(viewer, addresses)
        own = await self._directory.card(viewer)
        return [self._one(address, found.get(address), own) for address in addresses]

    async def shown(self, viewer: UUID, cards: Collection[Card]) -> list[Resource]:
        own = await self._directory.card(viewer)
        return [self._one(self._directory.address_of(card), card, own) for card in cards]

    def _one(self, address: str, card: Card | None, own: Card) -> Resource:
        href = hrefs.contact(address)
        uri = f"sip:{address}"
        if card is None:
            return Resource(rel="contact", href=href, properties={"type": "User", "uri": uri})
        same = card.user.org == own.user.org
        given: dict[str, Value] = {
            "name": card.user.name,
            "uri": uri,
            "type": "User",
            "sourceNetwork": "SameEnterprise" if same else "Federated",
            "emailAddresses": [card.user.email] if card.user.email else [],
            "title": card.profile.title,
            "department": card.profile.department,
            "company": card.profile.company or card.user.org,
            "office": card.profile.office_location,
            **me.numbers(card.profile, on_card=True),
        }
        kinds = ("contactPresence", "contactNote", "contactLocation", "contactPhoto")
        links = {kind: Link(hrefs.of_contact(address, kind)) for kind in kinds}
        return Resource(rel="contact", href=href, properties=me.present(given), links=links)


class ContactViews:
    def __init__(
        self,
        directory: Directory,
        cards: ContactCards,
        presence: PresenceService,
        service: ContactService,
    ) -> None:
        self._directory = directory
        self._cards = cards
        self._presence = presence
        self._service = service

    async def get(self, call: Call) -> Reply:
        (contact,) = await self._cards.at(call.app.user_id, [address_of(call)])
        return Reply(resource=contact, etag=etags.of(contact))

    async def remove(self, call: Call) -> Reply:
        if call.conditional:
            (contact,) = await self._cards.at(call.app.user_id, [address_of(call)])
            call.require_match(etags.of(contact))
        await self._service.remove(call.app.user_id, address_of(call))
        return Reply(status=204)

    async def presence(self, call: Call) -> Reply:
        person = await self._person(call)
        properties: dict[str, Value] = {
            "activity": person.shown.activity,
            "availability": person.shown.availability.value,
        }
        if person.last_active is not None:
            properties["lastActive"] = person.last_active
        return _published(call, "contactPresence", properties)

    async def note(self, call: Call) -> Reply:
        person = await self._person(call)
        return _published(call, "contactNote", note.properties(person.note))

    async def location(self, call: Call) -> Reply:
        person = await self._person(call)
        return _published(call, "contactLocation", {"location": person.location})

    async def mine(self, call: Call) -> Reply:
        addresses = await self._service.addresses(
            call.app.user_id, call.query.text("groupId", 256) or None
        )
        return Reply(resource=await self.listed("myContacts", hrefs.CONTACTS, addresses, call))

    async def add(self, call: Call) -> Reply:
        address = uri_in(call.inputs, "contactUri")
        group_id = call.inputs.text("groupId", 256)
        await self._service.add(call.app.user_id, address, *([group_id] if group_id else []))
        (contact,) = await self._cards.at(call.app.user_id, [address])
        return Reply(status=201, resource=contact, location=contact.href, etag=etags.of(contact))

    async def listed(self, rel: str, href: str, addresses: Collection[str], call: Call) -> Resource:
        """A collection of contacts: links to them, and the contacts themselves unless only links are wanted."""
        links = {"contact": [Link(hrefs.contact(address)) for address in addresses]}
        if not expanded(call):
            return Resource(rel=rel, href=href, links=links)
        contacts = await self._cards.at(call.app.user_id, addresses)
        return Resource(rel=rel, href=href, links=links, embedded={"contact": contacts})

    async def _person(self, call: Call) -> Person:
        card = await self._directory.find(call.app.user_id, address_of(call))
        return await self._presence.of(card.user.id)


def endpoints(views: ContactViews) -> list[Endpoint]:
    published = [
        ("contactPresence", views.presence, "Somebody's availability"),
        ("contactNote", views.note, "Somebody's note"),
        ("contactLocation", views.location, "Where somebody is"),
    ]
    return [
        Endpoint(
            method="GET",
            path=hrefs.CONTACTS,
            view=views.mine,
            rel="myContacts",
            summary="The user's contacts",
            scopes=ANY,
            anonymous=False,
            query={**EXPAND, "groupId": "only those of this group"},
        ),
        Endpoint(
            method="POST",
            path=hrefs.CONTACTS,
            view=views.add,
            rel="myContacts",
            summary="Add a contact",
            scopes=SCOPES,
            anonymous=False,
            returns=201,
            inputs={
                "contactUri": "required: a SIP URI",
                "groupId": "of the group; else the default one",
            },
        ),
        Endpoint(
            method="GET",
            path=_ONE,
            view=views.get,
            rel="contact",
            summary="A person",
            scopes=SCOPES,
            anonymous=False,
        ),
        Endpoint(
            method="DELETE",
            path=_ONE,
            view=views.remove,
            rel="contact",
            summary="Remove a contact from all of the user's groups",
            scopes=SCOPES,
            anonymous=False,
            returns=204,
        ),
        *(
            Endpoint(
                method="GET",
                path=f"{_ONE}/{rel}",
                view=view,
                rel=rel,
                summary=summary,
                scopes=SCOPES,
                anonymous=False,
            )
            for rel, view, summary in published
        ),
    ]


def _published(call: Call, rel: str, properties: Mapping[str, Value]) -> Reply:
    href = hrefs.of_contact(address_of(call), rel)
    return Reply(resource=Resource(rel=rel, href=href, properties=properties))
