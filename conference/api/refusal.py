"""What an exception means to a client: a status and a problem, before a family gives them its own form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import structlog
from aiohttp import web

from conference import errors
from conference.downtime import SERVER_DOWN
from schemas.errors import Problem

_log = structlog.get_logger(__name__)

STATUS: dict[type[errors.DomainError], int] = {
    errors.BadRequest: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.NotAcceptable: 406,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.MediaFailed: 424,
    errors.PreconditionRequired: 428,
    errors.TooManyRequests: 429,
    errors.Unavailable: 503,
    errors.TimedOut: 504,
}
_MESSAGES = {
    404: "there is nothing at this address",
    405: "not by this method: Allow names those that are",
}
"""In place of aiohttp's, which repeat the status."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an exception amounts to, before it has a family's form."""

    status: int
    problem: Problem
    headers: Mapping[str, str] = field(default_factory=dict)


def status_of(error: errors.DomainError) -> int:
    """By the nearest base class that the table has."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def refusal(error: Exception) -> Refusal:
    """Of anything that a handler raised. A bug is logged: call it where the exception is handled."""
    if isinstance(error, errors.DomainError):
        return _domain_refusal(error)
    if isinstance(error, web.HTTPException):
        return _http_refusal(error)
    if isinstance(error, SERVER_DOWN):
        _log.warning("server_down", error=repr(error))
        return _domain_refusal(errors.Unavailable("a server that we need is down"))
    _log.exception("request_failed")
    return Refusal(500, Problem(code="internal", message="this should not have happened"))


def _domain_refusal(error: errors.DomainError) -> Refusal:
    details = dict(error.details) if error.details else None
    problem = Problem(code=error.code, message=error.message, details=details)
    headers = {}
    if isinstance(error, errors.Unavailable | errors.TooManyRequests):
        headers["Retry-After"] = str(error.retry_after)
    if error.code == "content_coding":
        headers["Accept-Encoding"] = "gzip, deflate"  # RFC 9110 section 15.5.16
    return Refusal(status_of(error), problem, headers)


def _http_refusal(error: web.HTTPException) -> Refusal:
    """aiohttp's own: no such route, wrong method, body too large."""
    phrase = HTTPStatus(error.status).phrase
    code = phrase.lower().replace(" ", "_")
    message = _MESSAGES.get(error.status) or error.text or phrase
    headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
    return Refusal(error.status, Problem(code=code, message=message), headers)
