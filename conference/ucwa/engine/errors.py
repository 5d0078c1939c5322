"""Refusals in UCWA's form: the code that belongs to the status, the subcode that narrows it."""

from __future__ import annotations

import msgspec

from schemas.errors import Problem

_CODES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    408: "ClientTimeout",
    409: "Conflict",
    410: "Gone",
    412: "PreconditionFailed",
    413: "EntityTooLarge",
    415: "UnsupportedMediaType",
    428: "PreconditionRequired",
    429: "TooManyRequests",
    500: "ServiceFailure",
    503: "ServiceUnavailable",
    504: "Timeout",
}
_STATUSES = {424: 503}
"""Of other families' refusals, those that UCWA does not know."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error's body. `parameters` tells of each input that will not do, why; only with code BadRequest."""

    code: str
    subcode: str | None = None
    message: str | None = None
    parameters: dict[str, str] | None = None


def fault(status: int, problem: Problem) -> tuple[int, Fault]:
    """The status as UCWA has it, and the body."""
    status = _STATUSES.get(status, status)
    return status, Fault(
        code=_CODES.get(status, "ServiceFailure"),
        subcode=_subcode(problem.code),
        message=problem.message,
        parameters=_parameters(problem) if status == 400 else None,
    )


def _subcode(code: str) -> str | None:
    """Codes of what serves all families are in snake_case, and none of UCWA's; what our own API too writes in capitals
    (LimitExceeded, AnonymousNotAllowed) means the same here."""
    return code if code[:1].isupper() else None


def _parameters(problem: Problem) -> dict[str, str] | None:
    given = (problem.details or {}).get("parameters")
    if not isinstance(given, dict):
        return None
    return {str(name): str(why) for name, why in given.items()}
