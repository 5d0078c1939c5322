"""phones: the user's numbers, one of each kind, and whether others see them."""

from __future__ import annotations

from conference.domain.directory import Phone, PhoneType, phone_uri
from conference.errors import BadRequest, Forbidden, NotFound
from conference.ucwa.engine import etags
from conference.ucwa.engine.call import Call, Endpoint, Reply, Scope
from conference.ucwa.engine.inputs import Inputs
from conference.ucwa.engine.resource import Link, Resource
from conference.ucwa.people import hrefs as hrefs
from conference.ucwa.people.directory import Directory
from conference.ucwa.people.me_service import MeService

_SCOPES: frozenset[Scope] = frozenset(("User.ReadWrite",))
_ONE = f"{hrefs.PHONES}/{{phoneType}}"
_VISIBLE = "includeInContactCard"
_LONGEST = 80


class PhoneViews:
    def __init__(self, directory: Directory, service: MeService) -> None:
        self._directory = directory
        self._service = service

    async def all(self, call: Call) -> Reply:
        profile = (await self._directory.card(call.app.user_id)).profile
        embedded = [phone(kind, profile.phone(kind)) for kind in PhoneType]
        return Reply(
            resource=Resource(rel="phones", href=hrefs.PHONES, embedded={"phone": embedded})
        )

    async def one(self, call: Call) -> Reply:
        kind = _kind(call)
        profile = (await self._directory.card(call.app.user_id)).profile
        shown = phone(kind, profile.phone(kind))
        return Reply(resource=shown, etag=etags.of(shown))

    async def change_number(self, call: Call) -> Reply:
        kind = _kind(call)
        if not _changes(kind):
            raise Forbidden("the number at work is the operator's to change")
        number = _number(call.inputs)
        visible = call.inputs.flag(_VISIBLE)
        await self._service.change_phone(call.app.user_id, kind, number=number, visible=visible)
        return Reply(status=204)

    async def change_visibility(self, call: Call) -> Reply:
        """Without saying which, nothing changes."""
        kind, visible = _kind(call), call.inputs.flag(_VISIBLE)
        if visible is not None:
            await self._service.change_phone(call.app.user_id, kind, visible=visible)
        return Reply(status=204)


def _number(inputs: Inputs) -> str:
    """As a tel: URI; '' when there is none."""
    number = phone_uri(inputs.text("number", _LONGEST) or "")
    if number is None:
        why = "is no phone number, as +1 425 555 4321 or tel:+14255554321"
        details = {"parameters": {"number": why}}
        raise BadRequest(f"number: {why}", code="NormalizationFailed", details=details)
    return number


def endpoints(views: PhoneViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path=hrefs.PHONES,
            view=views.all,
            rel="phones",
            summary="The user's phones",
            scopes=_SCOPES,
            anonymous=False,
        ),
        Endpoint(
            method="GET",
            path=_ONE,
            view=views.one,
            rel="phone",
            summary="One of the user's phones",
            scopes=_SCOPES,
            anonymous=False,
        ),
        Endpoint(
            method="POST",
            path=f"{_ONE}/changeNumber",
            view=views.change_number,
            rel="changeNumber",
            summary="Change or clear the number",
            scopes=_SCOPES,
            anonymous=False,
            returns=204,
            inputs={
                "number": f"as people write it, or a tel: URI, at most {_LONGEST} characters; none clears it",
                _VISIBLE: "whether others see the number; else as before",
            },
        ),
        Endpoint(
            method="POST",
            path=f"{_ONE}/changeVisibility",
            view=views.change_visibility,
            rel="changeVisibility",
            summary="Show the number to others, or not",
            scopes=_SCOPES,
            anonymous=False,
            returns=204,
            inputs={_VISIBLE: "whether others see the number; else nothing changes"},
        ),
    ]


def phone(kind: PhoneType, given: Phone) -> Resource:
    href = hrefs.phone(kind)
    links = {"changeVisibility": Link(f"{href}/changeVisibility")}
    if _changes(kind):
        links = {"changeNumber": Link(f"{href}/changeNumber"), **links}
    return Resource(
        rel="phone",
        href=href,
        properties={
            "includeInContactCard": given.include_in_contact_card,
            "number": given.number,
            "type": kind.value,
        },
        links=links,
    )


def _changes(kind: PhoneType) -> bool:
    return kind is not PhoneType.WORK


def _kind(call: Call) -> PhoneType:
    for kind in PhoneType:
        if kind.value.lower() == call.params["phoneType"].lower():
            return kind
    raise NotFound(f"there is no such phone; there are {', '.join(PhoneType)}")
