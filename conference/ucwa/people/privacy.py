"""myPrivacyRelationships: what others may see. Here all contacts are colleagues, and nobody sees more or less."""

from __future__ import annotations

from collections.abc import Iterable

from conference.errors import NotFound
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.resource import Link, Resource
from conference.ucwa.people import hrefs as hrefs
from conference.ucwa.people.contact_service import ContactService
from conference.ucwa.people.contact_views import ANY

_LEVEL = "Colleagues"


class PrivacyViews:
    def __init__(self, service: ContactService) -> None:
        self._service = service

    async def all(self, call: Call) -> Reply:
        only = relationship(await self._service.addresses(call.app.user_id))
        return Reply(
            resource=Resource(
                rel="myPrivacyRelationships",
                href=hrefs.PRIVACY,
                embedded={"myPrivacyRelationship": [only]},
            )
        )

    async def one(self, call: Call) -> Reply:
        if call.params["relationshipLevel"].lower() != _LEVEL.lower():
            raise NotFound(f"the only relationship is {_LEVEL}")
        return Reply(resource=relationship(await self._service.addresses(call.app.user_id)))


def endpoints(views: PrivacyViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path=hrefs.PRIVACY,
            view=views.all,
            rel="myPrivacyRelationships",
            summary="What others may see",
            scopes=ANY,
            anonymous=False,
        ),
        Endpoint(
            method="GET",
            path=f"{hrefs.PRIVACY}/{{relationshipLevel}}",
            view=views.one,
            rel="myPrivacyRelationship",
            summary="The contacts in one privacy relationship",
            scopes=ANY,
            anonymous=False,
        ),
    ]


def relationship(addresses: Iterable[str]) -> Resource:
    return Resource(
        rel="myPrivacyRelationship",
        href=hrefs.privacy(_LEVEL),
        properties={"relationshipLevel": _LEVEL},
        links={"contact": [Link(hrefs.contact(address)) for address in addresses]},
    )
