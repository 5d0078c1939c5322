"""From a request to a view and back: what every UCWA resource has in common, so that views need not know of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from msgspec.structs import replace
from multidict import CIMultiDict, CIMultiDictProxy, MultiMapping

from conference.api.auth import Caller
from conference.errors import (
    Forbidden,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    TimedOut,
)
from conference.ucwa.application import Application
from conference.ucwa.engine import etags, negotiate, render_json, render_xml, token
from conference.ucwa.engine.call import NOBODY, Call, Endpoint, Reply
from conference.ucwa.engine.inputs import Inputs, wrong
from conference.ucwa.engine.negotiate import Form
from conference.ucwa.engine.reading import body_inputs, is_fit, query_inputs
from conference.ucwa.engine.urls import Place
from config.settings import Settings

VERSION_HEADER = "X-MS-UcwaVersion"
VERSION = "2.0"

_LEAST_REVISION = "X-MS-RequiresMinResourceVersion"
_REVISION = re.compile(r"([0-9]{1,4})(?:\.[0-9]{1,4})?")


class Applications(Protocol):
    async def get(self, user_id: UUID, application_id: str, *, fresh: bool = True) -> Application:
        """Raises NotFound (ApplicationNotFound), Gone. Without `fresh` the answer may be some seconds old."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One request, on its own or out of a batch."""

    method: str
    query: MultiMapping[str]
    headers: CIMultiDictProxy[str]
    body: bytes
    caller: Caller | None
    token: str | None = None
    """The bearer token, when one came on purpose."""
    secure: bool = False
    """Whether the client speaks TLS, to us or to the proxy in front."""
    origin: str = ""
    """Where the client reached us: scheme and host."""
    client: asyncio.BaseTransport | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A response that is complete but for the connection."""

    status: int
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    body: bytes = b""
    closing: bool = False


class Dispatch:
    def __init__(self, applications: Applications, settings: Settings) -> None:
        self._applications = applications
        self._strict = settings.ucwa_strict_put
        self._within = settings.ucwa_answer_within
        self._default_scopes = frozenset(settings.ucwa_default_scopes)

    async def __call__(
        self, endpoint: Endpoint, asked: Asked, params: Mapping[str, str]
    ) -> Answered:
        """Raises DomainError; what a view raises passes through, for the one place that renders refusals."""
        form = self._form(endpoint, asked)
        revision = self._revision(endpoint, asked)
        caller = asked.caller or NOBODY
        _check_path(params)
        application = await self._application(endpoint, caller, params)
        self._check_caller(endpoint, caller)
        if endpoint.waits and asked.method == "HEAD":
            return Answered(status=200)  # GET's answer is not known before its time
        call = self._call(endpoint, asked, params, caller, application, revision)
        reply = await self._viewed(endpoint, call)
        return _answered(endpoint, asked, call, reply, form)

    def _form(self, endpoint: Endpoint, asked: Asked) -> Form:
        if endpoint.gives:
            return negotiate.JSON
        return negotiate.form_of(",".join(asked.headers.getall("Accept", [])))

    def _revision(self, endpoint: Endpoint, asked: Asked) -> int:
        """Which one is wanted at least: a program that needs more of a resource than we have may not be given
        less."""
        wanted = asked.headers.get(_LEAST_REVISION)
        if wanted is None:
            return 1
        understood = _REVISION.fullmatch(wanted.strip())
        # a client of revision 2 says so to each resource, whatever revision that has
        if not understood or int(understood[1]) > max(2, endpoint.revision):
            raise NotFound(
                f"{endpoint.rel} has revision {endpoint.revision}, not {wanted}",
                code="APIVersionNotSupported",
            )
        return int(understood[1])

    async def _application(
        self, endpoint: Endpoint, caller: Caller, params: Mapping[str, str]
    ) -> Application | None:
        application_id = params.get("applicationId")
        if application_id is None:
            return None
        # whoever waits is told by the channel itself when it ends
        return await self._applications.get(
            caller.user_id, application_id, fresh=not endpoint.waits
        )

    def _check_caller(self, endpoint: Endpoint, caller: Caller) -> None:
        if caller.meeting is not None and not endpoint.anonymous:
            raise Forbidden(
                "this needs a user's token, not one of an anonymous meeting",
                code="AnonymousNotAllowed",
            )
        scopes = caller.scopes or self._default_scopes
        if endpoint.scopes and not endpoint.scopes & scopes:
            raise Forbidden(f"the token needs one of {', '.join(sorted(endpoint.scopes))}")

    def _call(
        self,
        endpoint: Endpoint,
        asked: Asked,
        params: Mapping[str, str],
        caller: Caller,
        application: Application | None,
        revision: int,
    ) -> Call:
        query = query_inputs(asked.query)
        instance_id = query.text("instanceId", 100)
        return Call(
            caller=caller,
            params=params,
            query=query,
            inputs=self._inputs(endpoint, asked, query),
            application=_seen_by(application, instance_id),
            instance_id=instance_id,
            require_match=self._condition(asked),
            revision=revision,
            headers=asked.headers,
            body=asked.body,
            origin=asked.origin,
            client=asked.client,
        )

    def _inputs(self, endpoint: Endpoint, asked: Asked, query: Inputs) -> Inputs:
        content_type = asked.headers.get("Content-Type", "")
        if endpoint.reads:
            negotiate.require(endpoint.reads, content_type)
            return Inputs()
        if asked.method not in ("POST", "PUT"):
            return Inputs()
        found = body_inputs(asked.body, content_type)
        if asked.method == "POST":
            return found.over(query)
        if self._strict and not any(etags.is_put_token(*item) for item in found.items()):
            raise wrong("GUID", f"GET the resource, and pass its property '{etags.PLEASE}' back")
        return found

    def _condition(self, asked: Asked) -> Callable[[str], None]:
        lines = asked.headers.getall("If-Match", [])
        given = ",".join(lines) if lines else None

        def require_match(current: str) -> None:
            if given is None and self._strict and asked.method == "PUT":
                raise PreconditionRequired("GET the resource, and pass its etag as If-Match")
            if given is not None and not etags.matches(given, current):
                raise PreconditionFailed("the resource has changed since: GET it again")

        return require_match

    async def _viewed(self, endpoint: Endpoint, call: Call) -> Reply:
        if endpoint.waits:
            return await endpoint.view(call)
        limit = asyncio.timeout(self._within)
        try:
            async with limit:
                return await endpoint.view(call)
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimedOut("this took too long; try again", code="Timeout") from None


def _check_path(params: Mapping[str, str]) -> None:
    """Nothing has a name that can't be kept."""
    for name, value in params.items():
        if not is_fit(value):
            code = "ApplicationNotFound" if name == "applicationId" else None
            raise NotFound("there is nothing at this address", code=code)


def _answered(endpoint: Endpoint, asked: Asked, call: Call, reply: Reply, form: Form) -> Answered:
    application = reply.application or call.application
    place = Place(application.id if application else None)
    headers = CIMultiDict(reply.headers)
    if reply.location is not None:
        headers["Location"] = place.href(reply.location)
    if reply.etag is not None:
        headers["ETag"] = f'"{reply.etag}"'
    headers.setdefault("Cache-Control", "no-cache")
    headers.setdefault("Vary", "Accept")  # one address, two forms (RFC 9110 section 12.5.5)
    if token.needs_cookie(asked.token, reply):
        headers.add("Set-Cookie", token.cookie(asked.token or "", secure=asked.secure))
    if _is_known(asked, reply):
        return Answered(status=304, headers=headers)
    body, content_type = _body(reply, place, form)
    if content_type:
        headers["Content-Type"] = content_type
    return Answered(status=reply.status, headers=headers, body=body, closing=reply.closing)


def _is_known(asked: Asked, reply: Reply) -> bool:
    """Whether the client has this copy (RFC 9110 section 13.1.2)."""
    condition = ",".join(asked.headers.getall("If-None-Match", []))
    if asked.method not in ("GET", "HEAD") or not condition or reply.etag is None:
        return False
    return etags.is_known(condition, reply.etag)


def _body(reply: Reply, place: Place, form: Form) -> tuple[bytes, str]:
    if reply.body is not None:
        return reply.body, reply.content_type
    if reply.document is not None:
        return reply.document[form.syntax], form.content_type
    renderer = render_xml if form.syntax == "xml" else render_json
    if reply.package is not None:
        return renderer.package(reply.package, place), form.content_type
    if reply.resource is not None:
        return renderer.resource(reply.resource, place), form.content_type
    return b"", ""


def _seen_by(application: Application | None, instance_id: str | None) -> Application | None:
    return replace(application, instance_id=instance_id or "") if application else None
