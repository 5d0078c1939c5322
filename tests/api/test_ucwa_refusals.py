"""The generic errors, each in JSON and in XML; those that need a fault of ours come from endpoints made for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from rig_meetings import SECRET, WITHIN, Api
from ucwa_rig import Answer, Program, request, running_ucwa

from conference import errors
from conference.api import openapi
from conference.api.auth import Authenticator, Caller, TokenVerifier
from conference.api.family import Families, Family
from conference.api.metrics import Metrics
from conference.api.middleware import Gate
from conference.tokens import issue, user_named
from conference.ucwa.application import Application
from conference.ucwa.engine import etags, routes
from conference.ucwa.engine.batch import Batches
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.dispatch import Dispatch
from conference.ucwa.engine.origin import Origin
from conference.ucwa.engine.refusals import PREFIXES, Refusals
from conference.ucwa.engine.resource import Resource
from config.settings import Settings
from schemas.errors import Problem

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    limits = {"body_limit": 4000, "ucwa_answer_within": 1.0}
    async with running_ucwa(database_url, redis_url, tmp_path, **limits) as api:
        yield api


@pytest.fixture(params=["json", "xml"])
def form(request: pytest.FixtureRequest) -> str:
    return f"application/{request.param}"


@pytest.fixture
async def alice(api: Api, form: str) -> Program:
    program = Program(api, "alice", xml=form.endswith("xml"))
    await program.start()
    return program


def check(answer: Answer, form: str, status: int, code: str, subcode: str | None = None) -> None:
    assert (answer.status, answer.json["code"], answer.json.get("subcode")) == (
        status,
        code,
        subcode,
    )
    assert answer.json["message"]
    assert answer.headers["Content-Type"] == f"{form}; charset=utf-8"
    assert answer.headers["X-MS-UcwaVersion"]


# --- what a request can do wrong --------------------------------------------------------------


async def test_a_body_that_is_not_read(alice: Program, form: str) -> None:
    refused = await alice.call(
        "POST", "/ucwa/v1/applications", headers={"Content-Type": form}, data=b"<{"
    )
    check(refused, form, 400, "BadRequest", "DeserializationFailure")


async def test_an_input_that_will_not_do(alice: Program, form: str) -> None:
    refused = await alice.post("/ucwa/v1/applications", {"culture": "x" * 101, "userAgent": "y"})
    check(refused, form, 400, "BadRequest", "ParameterValidationFailure")
    assert refused.json["parameters"] == {"culture": "is longer than 100 characters"}


async def test_nobody(api: Api, form: str) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        refused = await request(api, "GET", "/ucwa/v1/x", {"Accept": form, **headers})
        check(refused, form, 401, "Unauthorized")
        assert len(refused.headers.getall("WWW-Authenticate")) == 2


async def test_html_is_for_browsers_that_are_to_sign_in(api: Api) -> None:
    refused = await request(api, "GET", "/ucwa/v1/applications", {"Accept": BROWSER})
    assert refused.status == 401
    assert refused.headers["Content-Type"].startswith("text/html")
    assert len(refused.headers.getall("WWW-Authenticate")) == 2
    token = Program(api, "alice").token
    headers = {"Accept": BROWSER, "Authorization": f"Bearer {token}"}
    refused = await request(api, "GET", "/ucwa/nowhere", headers)
    check(refused, "application/xml", 404, "NotFound")


async def test_what_is_not_there(alice: Program, form: str) -> None:
    check(await alice.get("/ucwa/nowhere"), form, 404, "NotFound")
    nowhere = await alice.get(f"{alice.application}/nowhere")
    check(nowhere, form, 404, "NotFound")
    assert nowhere.json["message"] == "there is nothing at this address"
    for other in ("other", "%01", "%00"):
        refused = await alice.get(f"/ucwa/v1/applications/{other}")
        check(refused, form, 404, "NotFound", "ApplicationNotFound")


@pytest.mark.parametrize(
    ("wanted", "status"),
    [("1", 200), ("2", 200), ("2.0", 200), ("3", 404), ("3.0", 404), ("two", 404), ("", 404)],
)
async def test_a_revision_that_is_not_there(
    alice: Program, form: str, wanted: str, status: int
) -> None:
    answer = await alice.call(
        "GET", alice.application, headers={"X-MS-RequiresMinResourceVersion": wanted}
    )
    assert answer.status == status
    if status != 200:
        check(answer, form, 404, "NotFound", "APIVersionNotSupported")


async def test_a_method_that_is_not_there(alice: Program, form: str) -> None:
    for method in ("PATCH", "PUT"):
        refused = await alice.call(method, alice.application)
        check(refused, form, 405, "MethodNotAllowed")
        assert set(refused.headers["Allow"].split(",")) == {"GET", "HEAD", "DELETE"}


async def test_a_form_that_is_not_there(alice: Program) -> None:
    refused = await alice.call("GET", alice.application, headers={"Accept": "image/png"})
    check(refused, "application/json", 406, "NotAcceptable")


async def test_every_form_that_is(alice: Program) -> None:
    for accept in (
        "application/vnd.microsoft.com.ucwa+json",
        "application/vnd.microsoft.com.ucwa+xml",
        "application/xml",
        "application/json",
    ):
        answer = await alice.call("GET", alice.application, headers={"Accept": accept})
        assert answer.headers["Content-Type"] == f"{accept}; charset=utf-8"
        assert answer.href == alice.application


async def test_a_body_in_another_form(alice: Program, form: str) -> None:
    for content_type in ("text/plain", "application/json; charset=latin-1"):
        refused = await alice.call(
            "POST", "/ucwa/v1/applications", headers={"Content-Type": content_type}, data=b"x"
        )
        check(refused, form, 415, "UnsupportedMediaType", "UnsupportedMediaType")


async def test_a_body_that_is_too_large(alice: Program, form: str) -> None:
    refused = await alice.post("/ucwa/v1/applications", {"culture": "x" * 5000})
    check(refused, form, 413, "EntityTooLarge")


async def test_a_body_that_does_not_come(api: Api, alice: Program, form: str) -> None:
    host, port = api.server.host, api.server.port
    assert host is not None
    assert port is not None
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(
            f"POST /ucwa/v1/applications HTTP/1.1\r\nHost: {host}\r\nAccept: {form}\r\n"
            f"Authorization: Bearer {alice.token}\r\nContent-Type: {form}\r\n"
            "Content-Length: 100\r\n\r\n{".encode()
        )
        async with asyncio.timeout(WITHIN):
            answer = await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert form.encode() in answer


async def test_inputs_of_a_post_may_be_in_the_query(alice: Program) -> None:
    query = "?Culture=en-US&useragent=Query%2F1.0&endpointId=7"
    created = await alice.call("POST", f"/ucwa/v1/applications{query}")
    assert created.status == 201, created
    assert created.json["userAgent"] == "Query/1.0"


# --- conditions -------------------------------------------------------------------------------


async def test_what_the_client_has_is_not_sent_again(alice: Program) -> None:
    etag = (await alice.dashboard()).etag
    for condition in (f'"{etag}"', etag, f'W/"{etag}"', f'"x", "{etag}"', "*"):
        same = await alice.get(alice.application, If_None_Match=condition)
        assert (same.status, same.raw, same.etag) == (304, b"", etag)
    same = await alice.call("HEAD", alice.application, headers={"If-None-Match": etag})
    assert (same.status, same.etag) == (304, etag)
    for condition in ("dee2eaf8-7ad8-474c-a557-5dc070f8fccc", '"1"'):
        assert (await alice.get(alice.application, If_None_Match=condition)).status == 200


# --- what we can do wrong ---------------------------------------------------------------------


class NoApplications:
    async def get(self, user_id: Any, application_id: str, *, fresh: bool = True) -> Application:
        raise errors.Gone("it ended", code="TooManyApplications")


class NobodyCounts:
    def counted(self, user_id: UUID, many: int) -> AbstractAsyncContextManager[None]:
        return nullcontext()


class Faults:
    """Endpoints that do what goes wrong, behind the real middleware and dispatch."""

    def __init__(self) -> None:
        self.etag = etags.of(Resource(rel="thing", href="/ucwa/thing"))
        self.changed = 0

    def endpoints(self) -> list[Endpoint]:
        failures = {
            "bug": ZeroDivisionError(),
            "down": ConnectionRefusedError(),
            "media": errors.MediaFailed("no worker"),
            "busy": errors.TooManyRequests("wait", retry_after=7),
            "taken": errors.Conflict("it is there", code="AlreadyExists"),
            "limit": errors.Forbidden("no more", code="LimitExceeded"),
        }
        return [
            *(self._get(name, self._raising(error)) for name, error in failures.items()),
            self._get("slow", self._slow),
            self._get("ended/{applicationId}", self._slow),
            self._get("restricted", self._shown, scopes=frozenset({"Meetings.ReadWrite"})),
            self._get("people", self._shown, anonymous=False),
            self._get("newer", self._shown, revision=3),
            Endpoint(method="PUT", path="/ucwa/thing", view=self._put, rel="thing", summary=""),
            Endpoint(
                method="OPTIONS", path="/ucwa/thing", view=self._shown, rel="thing", summary=""
            ),
        ]

    def _get(self, name: str, view: Any, **more: Any) -> Endpoint:
        path = f"/ucwa/{name}"
        return Endpoint(method="GET", path=path, view=view, rel=name, summary="", **more)

    def _raising(self, error: Exception) -> Any:
        async def view(call: Call) -> Reply:
            raise error

        return view

    async def _slow(self, call: Call) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async def _shown(self, call: Call) -> Reply:
        return Reply(resource=Resource(rel="thing", href="/ucwa/thing"))

    async def _put(self, call: Call) -> Reply:
        call.require_match(self.etag)
        self.changed += 1
        return Reply(status=204)


class Refusing(Family):
    """Refuses as UCWA does, and does nothing else."""

    name = "refusing"
    prefixes: Sequence[str] = PREFIXES

    def __init__(self, origin: Origin) -> None:
        self._refusals = Refusals(origin)

    def operations(self) -> list[openapi.Operation]:
        return []

    def render(self, request: web.Request, status: int, problem: Problem) -> web.Response:
        return self._refusals.render(request, status, problem)


def running(settings: Settings, faults: Faults) -> TestServer:
    """An application with these endpoints alone."""

    async def seen(caller: Caller) -> None:
        return None

    app = web.Application()
    origin = Origin("https://meet.example.com/")
    dispatch = Dispatch(NoApplications(), settings)
    batches = Batches(dispatch, faults.endpoints(), NobodyCounts()).endpoint()
    described = routes.operations(
        [*faults.endpoints(), batches], dispatch, origin=origin, read_within=1.0
    )
    openapi.add_routes(app, described)
    gate = Gate(
        Authenticator(TokenVerifier(SECRET), seen),
        Metrics(),
        Families([Refusing(origin)]),
    )
    app.middlewares.extend(gate.middlewares())
    return TestServer(app)


@pytest.fixture
async def faulty() -> AsyncIterator[Api]:
    async with (
        running(Settings(ucwa_answer_within=0.2), Faults()) as server,
        ClientSession() as session,
    ):
        yield Api(server, session)


@pytest.mark.parametrize(
    ("path", "status", "code", "subcode"),
    [
        ("bug", 500, "ServiceFailure", None),
        ("down", 503, "ServiceUnavailable", None),
        ("media", 503, "ServiceUnavailable", None),
        ("slow", 504, "Timeout", "Timeout"),
        ("busy", 429, "TooManyRequests", None),
        ("taken", 409, "Conflict", "AlreadyExists"),
        ("limit", 403, "Forbidden", "LimitExceeded"),
        ("ended/1", 410, "Gone", "TooManyApplications"),
    ],
)
async def test_what_goes_wrong_here(
    faulty: Api, form: str, path: str, status: int, code: str, subcode: str | None
) -> None:
    alice = Program(faulty, "alice", xml=form.endswith("xml"))
    refused = await alice.get(f"/ucwa/{path}")
    check(refused, form, status, code, subcode)
    if status == 429:
        assert refused.headers["Retry-After"] == "7"


async def test_a_revision_beyond_the_second(faulty: Api) -> None:
    alice = Program(faulty, "alice")
    version = "X-MS-RequiresMinResourceVersion"
    assert (await alice.call("GET", "/ucwa/newer", headers={version: "3"})).status == 200
    assert (await alice.call("GET", "/ucwa/newer", headers={version: "4"})).status == 404


def token(*scopes: str, **more: Any) -> str:
    return issue(
        SECRET,
        user=user_named("alice"),
        scope=scopes,
        now=datetime.now(UTC),
        lifetime=timedelta(minutes=1),
        **more,
    )


async def test_a_scope_that_is_missing(faulty: Api, form: str) -> None:
    xml = form.endswith("xml")
    for given in (
        token("Meetings.ReadWrite"),
        token("User.ReadWrite", "Meetings.ReadWrite"),
        token(),
    ):
        assert (
            await Program(faulty, "alice", given, xml=xml).get("/ucwa/restricted")
        ).status == 200
    refused = await Program(faulty, "alice", token("User.ReadWrite"), xml=xml).get(
        "/ucwa/restricted"
    )
    check(refused, form, 403, "Forbidden")
    assert "Meetings.ReadWrite" in refused.json["message"]


async def test_default_scopes_are_a_setting() -> None:
    settings = Settings(ucwa_default_scopes=["User.ReadWrite"])
    async with running(settings, Faults()) as server, ClientSession() as session:
        alice = Program(Api(server, session), "alice")
        assert (await alice.get("/ucwa/restricted")).status == 403


async def test_strict_mode_wants_a_condition_and_the_token() -> None:
    faults = Faults()
    settings = Settings(ucwa_strict_put=True)
    async with running(settings, faults) as server, ClientSession() as session:
        alice = Program(Api(server, session), "alice")
        thing, body = "/ucwa/thing", etags.put_token("thing")
        check(
            await alice.put(thing, {"a": "b"}, If_Match=faults.etag),
            "application/json",
            400,
            "BadRequest",
            "ParameterValidationFailure",
        )
        check(await alice.put(thing, body), "application/json", 428, "PreconditionRequired")
        refused = await alice.put(thing, body, If_Match="1")
        check(refused, "application/json", 412, "PreconditionFailed")
        weak = await alice.put(thing, body, If_Match=f'W/"{faults.etag}"')
        check(weak, "application/json", 412, "PreconditionFailed")
        assert faults.changed == 0
        for condition in (
            faults.etag,
            f'"{faults.etag}"',
            f'W/"{faults.etag}", "{faults.etag}"',
            "*",
            f"1,{faults.etag}",
        ):
            assert (await alice.put(thing, body, If_Match=condition)).status == 204
        assert faults.changed == 5


async def test_lenient_mode_minds_a_condition_that_is_there(faulty: Api, form: str) -> None:
    alice = Program(faulty, "alice", xml=form.endswith("xml"))
    assert (await alice.put("/ucwa/thing")).status == 204
    assert (await alice.put("/ucwa/thing", {"a": "b"})).status == 204
    check(
        await alice.put("/ucwa/thing", {"a": "b"}, If_Match='"1"'), form, 412, "PreconditionFailed"
    )


async def test_the_place_to_sign_in_is_what_clients_reach(faulty: Api) -> None:
    refused = await request(faulty, "GET", "/ucwa/people", {})
    oauth = refused.headers.getall("WWW-Authenticate")[1]
    assert oauth.startswith('MsRtcOAuth href="https://meet.example.com/WebTicket/oauthtoken"')
