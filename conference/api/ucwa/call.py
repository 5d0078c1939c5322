"""What a UCWA view is given and what it gives back. Negotiation, parsing and rendering are dispatch's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from conference.api.auth import Caller
from conference.api.ucwa.inputs import Inputs
from conference.api.ucwa.resource import Resource
from conference.domain.application import Application

Scope = Literal[
    "Conversations.Initiate",
    "Conversations.Receive",
    "Meetings.ReadWrite",
    "User.ReadWrite",
    "Contacts.ReadWrite",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request. `params` are those of the path; `query` and `inputs` have case-insensitive names, and inputs of
    a POST may stand in the query. `application` is the caller's own and alive; only routes above it have none."""

    caller: Caller
    params: Mapping[str, str]
    query: Inputs
    inputs: Inputs
    application: Application | None
    instance_id: str | None
    require_match: Callable[[str], None]
    """Give it the current etag, under the lock of what is changed. Raises PreconditionFailed (412) when If-Match
    names another, PreconditionRequired (428) when there is none and the strict mode is on."""

    @property
    def app(self) -> Application:
        assert self.application is not None, "this route is below an application"
        return self.application


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """`location` and the hrefs of `resource` may be relative to the application. With `etag` the header is sent
    and If-None-Match answered; it need not be in the body."""

    status: int = 200
    resource: Resource | None = None
    location: str | None = None
    etag: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """In place of a resource: already encoded, of `content_type`."""
    content_type: str = ""


View = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """One method of one resource. `path` is below the application (`me/note`) or, with a leading slash, absolute.
    `scopes`: one of them suffices; none named: any caller. `inputs` documents the names that are read."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    view: View
    rel: str
    summary: str
    scopes: frozenset[Scope] = frozenset()
    inputs: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    anonymous: bool = True
    """Whether somebody with an anonymous meeting token may."""
    revision: int = 1
    """The resource's; X-MS-RequiresMinResourceVersion above it is refused."""
    returns: int = 200
