"""One declaration per operation, next to its route; the routes and the OpenAPI document are made from it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

import msgspec
from aiohttp import web

from schemas.errors import Problem
from schemas.events import AnyMeetingEvent

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Json = dict[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A parameter of path, query or header. `type` is anything msgspec has a schema for."""

    name: str
    place: Literal["path", "query", "header"]
    type: object = str
    description: str = ""
    required: bool = False
    style: Json = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """`returns` maps a success status to its body's type, None for no body; `refuses` maps a status to its cause.

    `gives` maps a path parameter of other operations to where this one's answer has it (a runtime expression).
    """

    id: str
    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    returns: Mapping[int, object]
    description: str = ""
    body: object = None
    body_required: bool = True
    body_type: str = "application/json"
    parameters: Sequence[Parameter] = ()
    refuses: Mapping[int, str] = field(default_factory=dict)
    gives: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    problem: object = Problem
    """The body of a refusal."""
    public: bool = False
    head: Handler | None = None
    """What answers HEAD where GET waits or takes something over; elsewhere the same does (RFC 9110 section 9.3.2)."""


def add_routes(app: web.Application, operations: Iterable[Operation]) -> None:
    """A path's other methods are refused there, though a path with a parameter in its place may have them."""
    handlers: dict[str, dict[str, Handler]] = {}
    for operation in operations:
        handlers.setdefault(operation.path, {})[operation.method] = operation.handler
        if operation.method == "GET":
            handlers[operation.path]["HEAD"] = operation.head or operation.handler
    for path, methods in handlers.items():
        resource = app.router.add_resource(path)
        for method, handler in methods.items():
            resource.add_route(method, handler)
        resource.add_route("*", _refusal_of_others(sorted(methods)))


def _refusal_of_others(allowed: Sequence[str]) -> Handler:
    async def refuse(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMethodNotAllowed(request.method, allowed)

    return refuse


# --- the document -----------------------------------------------------------------------------

_REF = "#/components/schemas/{name}"
_EVENT = "Event"
_PATH_NAME = re.compile(r"{(\w+)}")


def document(
    operations: Sequence[Operation], *, title: str, version: str, description: str
) -> Json:
    """An OpenAPI 3.1 description; its schemas are those of the msgspec types."""
    types = [AnyMeetingEvent, *_types(operations)]
    schemas, components = msgspec.json.schema_components(
        types, ref_template=_REF, schema_hook=_opaque
    )
    components[_EVENT] = schemas[0]
    schema_of = dict(zip(map(_key, types), schemas, strict=True))
    paths: dict[str, Json] = {}
    for operation in operations:
        item = paths.setdefault(operation.path, {})
        item[operation.method.lower()] = _operation(operation, operations, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": description},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"cookie": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(item.tag for item in operations)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "ZM_AUTH_TOKEN"},
            },
        },
    }


def _opaque(kind: type) -> Json:
    """What a type can't say: anything that JSON can."""
    return {"description": "any JSON value"}


def _types(operations: Iterable[Operation]) -> Iterable[object]:
    found: dict[str, object] = {_key(Problem): Problem}
    for operation in operations:
        bodies = [*operation.returns.values(), operation.body, operation.problem]
        for kind in [*bodies, *(parameter.type for parameter in operation.parameters)]:
            if kind is not None:
                found.setdefault(_key(kind), kind)
    return found.values()


def _key(kind: object) -> str:
    return repr(kind)


def _operation(
    operation: Operation, others: Sequence[Operation], schema_of: Mapping[str, Json]
) -> Json:
    responses = _responses(operation, schema_of)
    if operation.gives:
        responses[str(min(operation.returns))]["links"] = _links(operation, others)
    described: Json = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": responses,
    }
    if operation.description:
        described["description"] = operation.description
    if parameters := _parameters(operation, schema_of):
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {operation.body_type: {"schema": schema_of[_key(operation.body)]}},
        }
    if operation.public:
        described["security"] = []
    return described


def _responses(operation: Operation, schema_of: Mapping[str, Json]) -> dict[str, Json]:
    responses: dict[str, Json] = {}
    for status, kind in operation.returns.items():
        responses[str(status)] = {"description": HTTPStatus(status).phrase}
        if kind is not None:
            content = {operation.media_type: {"schema": schema_of[_key(kind)]}}
            responses[str(status)]["content"] = content
    problem = {"application/json": {"schema": schema_of[_key(operation.problem)]}}
    for status, cause in sorted({**_ALWAYS, **operation.refuses}.items()):
        if status in operation.returns:
            continue
        if operation.public and status == HTTPStatus.UNAUTHORIZED:
            cause = "the request carries a token that does not hold"
        responses[str(status)] = {"description": cause, "content": problem}
    return responses


def _links(giver: Operation, operations: Sequence[Operation]) -> Json:
    """To every operation that works on what this one gives."""
    return {
        other.id: {
            "operationId": other.id,
            "parameters": {name: giver.gives[name] for name in names},
        }
        for other in operations
        if (names := [n for n in _PATH_NAME.findall(other.path) if n in giver.gives])
    }


_ALWAYS: Mapping[int, str] = {
    401: "no token, or one that does not hold",
    503: "the database or Redis is down; try again after Retry-After seconds",
}


def _parameters(operation: Operation, schema_of: Mapping[str, Json]) -> list[Json]:
    declared = {parameter.name for parameter in operation.parameters}
    implied = [
        Parameter(name=name, place="path", required=True)
        for name in _PATH_NAME.findall(operation.path)
        if name not in declared
    ]
    return [_parameter(parameter, schema_of) for parameter in [*operation.parameters, *implied]]


def _parameter(parameter: Parameter, schema_of: Mapping[str, Json]) -> Json:
    described: Json = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "schema": schema_of.get(_key(parameter.type), {"type": "string"}),
        **parameter.style,
    }
    if parameter.description:
        described["description"] = parameter.description
    return described
