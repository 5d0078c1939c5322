"""The token endpoint: a form in, a token or an OAuth error out (RFC 6749 sections 4.3 and 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from conference.api.auth import Caller, TokenVerifier
from conference.api.body import answer, whole
from conference.api.openapi import Operation
from conference.errors import BadRequest, Unauthenticated
from conference.ucwa.applications.sign_in import SignIn, Token
from conference.ucwa.applications.sign_in_rules import place
from conference.ucwa.engine import naming
from conference.ucwa.engine.token import MARK, bearer, plain
from conference.ucwa.engine.urls import TOKEN
from schemas.errors import Problem

PREFIX = "/WebTicket/"

_FORM = "application/x-www-form-urlencoded"
_FIELDS_MOST = 20
_RENEW = "ms_rtc_renew"
_FLAGS = ("", "true", "1")
"""What says that the former token is in Authorization."""
_ERRORS = frozenset(("invalid_request", "invalid_grant", "unsupported_grant_type"))
_BY_STATUS = {429: "slow_down", 500: "server_error", 503: "temporarily_unavailable"}


class TokenGranted(msgspec.Struct):
    """`expires_in`: seconds."""

    access_token: str
    expires_in: int
    token_type: str = "Bearer"


class TokenRefused(msgspec.Struct):
    error: str
    error_description: str


class TokenRequest(msgspec.Struct):
    grant_type: Annotated[
        str, msgspec.Meta(description="`password`, or `urn:microsoft.rtc:anonmeeting`")
    ]
    username: Annotated[
        str, msgspec.Meta(description="with `password`: a user's name, e-mail address or SIP URI")
    ] = ""
    password: Annotated[
        str, msgspec.Meta(description="the user's; or the meeting's onlineMeetingId")
    ] = ""
    ms_rtc_conferenceuri: Annotated[
        str, msgspec.Meta(description="of an anonymous participant: the meeting's URI")
    ] = ""
    ms_rtc_renew: Annotated[
        str,
        msgspec.Meta(
            description="an anonymous participant's token that still holds, to go on as the same one; or "
            "`true`, with that token in Authorization"
        ),
    ] = ""


class TokenView:
    def __init__(self, sign_in: SignIn, verifier: TokenVerifier, within: float) -> None:
        """`within`: seconds that a client may take for the form."""
        self._sign_in = sign_in
        self._verifier = verifier
        self._within = within
        self._grants = {
            "password": self._with_password,
            "urn:microsoft.rtc:anonmeeting": self._for_meeting,
        }

    async def view(self, request: web.Request) -> web.Response:
        form = _form(request.content_type, await whole(request, self._within))
        if form.get(_RENEW, "-").lower() in _FLAGS:
            form[_RENEW] = bearer(request) or ""
        grant = self._grants.get(_field(form, "grant_type"))
        if grant is None:
            supported = ", ".join(self._grants)
            raise BadRequest(f"grant_type may be {supported}", code="unsupported_grant_type")
        token = await grant(form, place(request.remote))
        response = answer(TokenGranted(f"{MARK}{token.text}", token.expires_in))
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _with_password(self, form: Mapping[str, str], place: str) -> Token:
        username, password = _field(form, "username"), _field(form, "password")
        return await self._sign_in.with_password(username, password, place)

    async def _for_meeting(self, form: Mapping[str, str], place: str) -> Token:
        uri = _field(form, "ms_rtc_conferenceuri")
        former = await self._former(form[_RENEW]) if _RENEW in form else None
        return await self._sign_in.for_meeting(uri, _field(form, "password"), former, place)

    async def _former(self, token: str) -> Caller:
        try:
            return (await self._verifier.verify(plain(token)))[0]
        except Unauthenticated as error:
            raise BadRequest(
                f"{_RENEW}: {error.message}; ask without it", code="invalid_grant"
            ) from None


def render(request: web.Request, status: int, problem: Problem) -> web.Response:
    """A refusal as OAuth has it (RFC 6749 section 5.2)."""
    known = problem.code if problem.code in _ERRORS else None
    error = known or _BY_STATUS.get(status, "invalid_request")
    response = answer(TokenRefused(error, problem.message), status)
    response.headers["Cache-Control"] = "no-store"
    return response


def operation(view: TokenView) -> Operation:
    return Operation(
        id="getToken",
        method="POST",
        path=TOKEN,
        handler=view.view,
        summary="Sign in: a token for a password, or for an invitation to one meeting",
        tag=naming.HEADING,
        body=TokenRequest,
        body_type=_FORM,
        returns={200: TokenGranted},
        refuses={
            400: "invalid_grant, unsupported_grant_type or invalid_request",
            408: "the form did not come in time",
            413: "the form is too large",
            429: "too many tries in vain; wait as Retry-After says",
        },
        problem=TokenRefused,
        public=True,
    )


def _form(content_type: str, body: bytes) -> dict[str, str]:
    """Raises BadRequest (invalid_request)."""
    if content_type != _FORM:
        raise _invalid(f"the request must be {_FORM}")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_FIELDS_MOST,
        )
    except ValueError:
        raise _invalid("that is not a form in UTF-8") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _invalid("a parameter may be there only once")
    return form


def _field(form: Mapping[str, str], name: str) -> str:
    value = form.get(name)
    if not value:
        raise _invalid(f"{name} is required")
    if "\0" in value:
        raise _invalid(f"{name} has characters that no text has")
    return value


def _invalid(why: str) -> BadRequest:
    return BadRequest(why, code="invalid_request")
