"""onlineMeetingExtensions and onlineMeetingExtension: data that programs attach to an online meeting.

An extension's own properties stand flat beside `id` and `type`, in the order and spelling in which they came.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID, uuid4

from msgspec.structs import replace

from conference.ucwa.engine import etags
from conference.ucwa.engine.call import Call, Endpoint, Reply, Scope
from conference.ucwa.engine.inputs import IGNORED_NAMES, Given, wrong
from conference.ucwa.engine.resource import Resource
from conference.ucwa.meetings.extension_rules import NAME_LONGEST, Extension, ExtensionType
from conference.ucwa.meetings.extension_service import ONLY, ExtensionService, Revision

REL = "onlineMeetingExtension"
SCOPES: frozenset[Scope] = frozenset(("Conversations.Initiate", "Conversations.Receive"))

_OWN_NAMES = frozenset(("id", "type"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Attached:
    """Whose extensions an address leads to, and that address."""

    meeting_id: UUID
    address: str


Locate = Callable[[Call], Awaitable[Attached]]
"""Raises NotFound when there is no such meeting for the caller."""


class ExtensionViews:
    def __init__(self, service: ExtensionService, locate: Locate, *, strict: bool) -> None:
        """`strict`: PUTs must pass back the PUT token, so that it is shown."""
        self._service = service
        self._locate = locate
        self._strict = strict

    async def all(self, call: Call) -> Reply:
        at = await self._locate(call)
        found = await self._service.all(call.caller.user_id, at.meeting_id)
        return Reply(resource=collection(found, at.address))

    async def add(self, call: Call) -> Reply:
        at = await self._locate(call)
        wanted = _revision(call)
        extension = Extension(
            id=wanted.id if wanted.id is not None else str(uuid4()),
            type=wanted.type or ExtensionType.UNDEFINED,
            properties=wanted.properties,
        )
        added = await self._service.add(call.caller.user_id, at.meeting_id, extension)
        shown = self._shown(added, at, added.id)
        return Reply(status=201, resource=shown, location=shown.href, etag=_etag(shown))

    async def get(self, call: Call) -> Reply:
        at, key = await self._locate(call), call.params["extensionId"]
        found = await self._service.get(call.caller.user_id, at.meeting_id, key)
        shown = self._shown(found, at, key)
        return Reply(resource=shown, etag=_etag(shown))

    async def put(self, call: Call) -> Reply:
        at, key = await self._locate(call), call.params["extensionId"]
        changed = await self._service.put(
            call.caller.user_id, at.meeting_id, key, _revision(call), self._match(call, at)
        )
        shown = self._shown(changed, at, key if key == ONLY else changed.id)
        return Reply(resource=shown, etag=_etag(shown))

    async def remove(self, call: Call) -> Reply:
        at = await self._locate(call)
        await self._service.remove(
            call.caller.user_id, at.meeting_id, call.params["extensionId"], self._match(call, at)
        )
        return Reply(status=204)

    def _match(self, call: Call, at: Attached) -> Callable[[Extension], None]:
        key = call.params["extensionId"]

        def match(current: Extension) -> None:
            call.require_match(_etag(self._shown(current, at, key)))

        return match

    def _shown(self, extension: Extension, at: Attached, key: str) -> Resource:
        """Under the address that was asked for: the one without an id shows itself so, as its pages do."""
        shown = resource(extension, at.address, key)
        if not self._strict:
            return shown
        token = etags.put_token(REL, str(at.meeting_id), extension.id)
        shown = replace(shown, properties={**shown.properties, **token})
        return replace(shown, etag=_etag(shown))


def _etag(shown: Resource) -> str:
    """One for all addresses that it is read by: organizers and participants come by different ones."""
    return etags.of(replace(shown, href=""))


# --- out --------------------------------------------------------------------------------------


def collection(found: Sequence[Extension], address: str) -> Resource:
    return Resource(
        rel="onlineMeetingExtensions",
        href=address,
        embedded={REL: [resource(extension, address, extension.id) for extension in found]},
    )


def resource(extension: Extension, address: str, key: str) -> Resource:
    """`key`: what the last segment of its address shall be."""
    return Resource(
        rel=REL,
        href=f"{address}/{quote(key, safe='')}",
        properties={
            "id": extension.id,
            "type": extension.type.value,
            **extension.properties,
        },
    )


# --- in ---------------------------------------------------------------------------------------


def _revision(call: Call) -> Revision:
    inputs = call.inputs
    for name in sorted(inputs.unfit - IGNORED_NAMES):
        raise wrong(name, "must be a single value, not an object")
    return Revision(
        id=inputs.text("id", NAME_LONGEST),
        type=inputs.choice("type", ExtensionType),
        properties={
            name: _text(name, value)
            for name, value in inputs.items()
            if value is not None and not _is_ours(name, value) and not _is_address(call, name)
        },
    )


def _is_ours(name: str, value: Given) -> bool:
    lower = name.lower()
    if lower in _OWN_NAMES or lower in IGNORED_NAMES or etags.is_put_token(name, value):
        return True
    if name.startswith("_") or not name.strip():
        raise wrong(name, "names that begin with an underscore are reserved")
    return False


def _is_address(call: Call, name: str) -> bool:
    """The inputs of a POST may stand in its query, where the name of the application's instance is too."""
    return name.lower() == "instanceid" and call.instance_id is not None


def _text(name: str, value: Given) -> str:
    """XML has nothing but texts, so nothing else is kept."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int):
        return str(value)
    raise wrong(name, "must be a single value, not a list")


# --- the table --------------------------------------------------------------------------------


def endpoints(views: ExtensionViews, path: str, *, anonymous: bool) -> list[Endpoint]:
    """`path`: of the collection. `anonymous`: whether it is below what somebody anonymous may see."""
    one = f"{path}/{{extensionId}}"
    inputs = {
        "id": "the program's own identifier",
        "type": "Undefined, RoamedOrganizerData (the organizer's alone) or RoamedParticipantData",
    }
    return [
        Endpoint(
            method="GET",
            path=path,
            view=views.all,
            rel="onlineMeetingExtensions",
            summary="The extensions of an online meeting that concern you",
            scopes=SCOPES,
            anonymous=anonymous,
        ),
        Endpoint(
            method="POST",
            path=path,
            view=views.add,
            rel="onlineMeetingExtensions",
            summary="Attach an extension to an online meeting; every other name is a property of its own",
            scopes=SCOPES,
            inputs=inputs,
            anonymous=anonymous,
            returns=201,
        ),
        Endpoint(
            method="GET",
            path=one,
            view=views.get,
            rel=REL,
            summary="One extension of an online meeting",
            scopes=SCOPES,
            anonymous=anonymous,
        ),
        Endpoint(
            method="PUT",
            path=one,
            view=views.put,
            rel=REL,
            summary="Change an extension: properties that are left out are dropped, id and type stay",
            scopes=SCOPES,
            inputs=inputs,
            anonymous=anonymous,
        ),
        Endpoint(
            method="DELETE",
            path=one,
            view=views.remove,
            rel=REL,
            summary="Remove an extension",
            scopes=SCOPES,
            anonymous=anonymous,
            returns=204,
        ),
    ]
