"""A refusal as a response: in the form that was asked for, and in HTML only to a browser that is to sign in."""

from __future__ import annotations

from aiohttp import web

from conference.ucwa.engine import negotiate, render_json, render_xml
from conference.ucwa.engine.dispatch import VERSION, VERSION_HEADER
from conference.ucwa.engine.errors import fault
from conference.ucwa.engine.origin import Origin
from conference.ucwa.engine.urls import TOKEN
from schemas.errors import Problem

PREFIXES = ("/ucwa", "/autodiscover/")
_CLIENT_ID = "parley"
"""Names us to an identity provider. No address: clients take the first one in the headers for the token endpoint."""
GRANTS = "urn:microsoft.rtc:anonmeeting,password"

_PAGE = b"""<!doctype html>
<title>Sign in</title>
<p>This needs a bearer token. The header WWW-Authenticate says where to get one.</p>
"""


class Refusals:
    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def render(self, request: web.Request, status: int, problem: Problem) -> web.Response:
        accept = ",".join(request.headers.getall("Accept", []))
        if status == 401:
            response = self._unauthenticated(request, accept, problem)
        else:
            response = _response(accept, status, problem)
        response.headers[VERSION_HEADER] = VERSION
        return response

    def _unauthenticated(self, request: web.Request, accept: str, problem: Problem) -> web.Response:
        if negotiate.wants_html(accept):
            response = web.Response(status=401, body=_PAGE, content_type="text/html")
        else:
            response = _response(accept, 401, problem)
        origin = self._origin.of(request)
        response.headers.add(
            "WWW-Authenticate", f'Bearer trusted_issuers="", client_id="{_CLIENT_ID}"'
        )
        response.headers.add(
            "WWW-Authenticate", f'MsRtcOAuth href="{origin}{TOKEN}",grant_type="{GRANTS}"'
        )
        return response


def written(accept: str, status: int, problem: Problem) -> tuple[int, str, bytes]:
    """The status as UCWA has it, the content type and the body."""
    form = negotiate.form_or_json(accept)
    status, described = fault(status, problem)
    renderer = render_xml if form.syntax == "xml" else render_json
    return status, form.content_type, renderer.fault(described)


def _response(accept: str, status: int, problem: Problem) -> web.Response:
    status, content_type, body = written(accept, status, problem)
    return web.Response(status=status, body=body, headers={"Content-Type": content_type})
