"""What a UCWA view is given and what it gives back. Negotiation, parsing and rendering are dispatch's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from conference.api.auth import Caller
from conference.ucwa.application import Application
from conference.ucwa.engine.inputs import Inputs
from conference.ucwa.engine.negotiate import Syntax
from conference.ucwa.engine.resource import Package, Resource

Scope = Literal[
    "Conversations.Initiate",
    "Conversations.Receive",
    "Meetings.ReadWrite",
    "User.ReadWrite",
    "Contacts.ReadWrite",
]

NOBODY = Caller(user_id=UUID(int=0))
"""The caller of an open endpoint, when there is no token."""


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
    names another, PreconditionRequired (428) of a PUT without one when the strict mode is on."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those of the request, with names in any case."""
    revision: int = 1
    """Which one of the resource the client wants at least."""
    body: bytes = b""
    """As it came, for an endpoint that `reads` it itself."""
    origin: str = ""
    """Where the client reached us: scheme and host."""
    client: asyncio.BaseTransport | None = None
    """The connection that waits for the answer; None inside a batch."""

    @property
    def conditional(self) -> bool:
        """Whether `require_match` may refuse: what is deleted need not be read otherwise."""
        return "If-Match" in self.headers

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
    package: Package | None = None
    """In place of a resource: an answer of the event channel."""
    application: Application | None = None
    """What relative addresses are relative to, when it is not the call's."""
    location: str | None = None
    """Of every answer 201: clients read it unchecked."""
    etag: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """In place of a resource: already encoded, of `content_type`."""
    document: Mapping[Syntax, bytes] | None = None
    """In place of a resource: already encoded, in each form."""
    content_type: str = ""
    closing: bool = False
    """The client does better to reconnect: this process shuts down."""


View = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """One method of one resource. `path` is below the application (`me/note`; empty: itself) or, with a leading
    slash, absolute. `scopes`: one of them suffices; none named: any caller. `inputs` and `query` document the names
    that are read; the text of one that must be given begins with "required"."""

    method: Literal["GET", "POST", "PUT", "DELETE", "OPTIONS"]
    path: str
    view: View
    rel: str
    summary: str
    scopes: frozenset[Scope] = frozenset()
    inputs: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    anonymous: bool = True
    """Whether somebody with an anonymous meeting token may."""
    reads: str = ""
    """A media type that the view parses by itself from `Call.body`, in place of inputs."""
    gives: str = ""
    """A media type that it answers whatever was asked for, in place of resources."""
    batched: bool = True
    """Whether it may be a part of a batch."""
    waits: bool = False
    """Whether it takes long on purpose; all others are given up after a while (504)."""
    public: bool = False
    """Whether it needs no token."""
    revision: int = 1
    """The resource's; X-MS-RequiresMinResourceVersion above it is refused."""
    returns: int = 200
    returns_known: int | None = None
    """The status instead, when what was to be made is there already."""
    document: object = None
    """The type of what it answers with, where that is no resource."""
    empty: bool = False
    """Whether an answer with success has no body."""
