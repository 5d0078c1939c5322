"""What all UCWA resources have in common: forms, versions, conditions, refusals."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rig_meetings import Api, Json
from ucwa_rig import Program, request, running_ucwa


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path, body_limit=4000) as api:
        yield api


@pytest.fixture(params=["json", "xml"])
def alice(api: Api, request: pytest.FixtureRequest) -> Program:
    return Program(api, "alice", xml=request.param == "xml")


async def test_the_root_is_for_everybody(api: Api) -> None:
    found = await request(api, "GET", "/ucwa", {})
    assert found.status == 200
    assert found.headers["Content-Type"] == "application/json; charset=utf-8"
    assert found.headers["X-MS-UcwaVersion"]
    assert found.headers["Vary"] == "Accept"
    origin = str(api.server.make_url("")).rstrip("/")
    assert found.json == {
        "rel": "root",
        "_links": {
            "self": {"href": f"{origin}/ucwa"},
            "user": {"href": f"{origin}/autodiscover/autodiscoverservice.svc/root/oauth/user"},
            "xframe": {"href": f"{origin}/ucwa/xframe"},
        },
    }


async def test_all_else_needs_a_token(api: Api) -> None:
    root = await request(api, "GET", "/ucwa", {})
    refused = await request(api, "GET", root.link("user"), {})
    assert refused.status == 401
    bearer, oauth = refused.headers.getall("WWW-Authenticate")
    assert bearer.startswith("Bearer trusted_issuers=")
    origin = str(api.server.make_url("")).rstrip("/")
    assert oauth == (
        f'MsRtcOAuth href="{origin}/WebTicket/oauthtoken",'
        'grant_type="urn:microsoft.rtc:anonmeeting,password"'
    )
    assert refused.json["code"] == "Unauthorized"
    assert "subcode" not in refused.json
    for path in ("/ucwa/nowhere", "/ucwa/v1/applications", "/ucwa/v1/applications/1/me"):
        assert (await request(api, "GET", path, {})).status == 401


async def test_a_signed_in_user_finds_applications(alice: Program) -> None:
    root = await alice.get("/ucwa")
    user = await alice.get(root.link("user"))
    assert user.json["rel"] == "user"
    assert user.link("applications").endswith("/ucwa/v1/applications")
    page = await alice.get(user.link("xframe"))
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"


async def test_an_application_in_both_forms(api: Api) -> None:
    alice, same = Program(api, "alice"), Program(api, "alice", xml=True)
    inputs = {"culture": "en-us", "userAgent": "ContosoApp/1.0", "endpointId": "1"}
    created = await alice.start(**inputs)
    assert created.status == 201
    assert created.headers["Location"] == created.href == alice.application
    assert created.headers["Set-Cookie"].startswith(f"cwt_ucwa={alice.token}; Path=/ucwa; HttpOnly")
    assert created.json["etag"] == created.etag
    assert int(created.etag) < 2**32
    found = await same.start(**{name.upper(): value for name, value in inputs.items()})
    assert found.status == 200
    assert found.href == created.href
    for name in ("rel", "culture", "userAgent", "etag", "_links"):
        assert found.json[name] == created.json[name]
    assert (await alice.delete(alice.application)).status == 204
    gone = await same.get(same.application)
    assert (gone.status, gone.json["code"], gone.subcode) == (
        404,
        "NotFound",
        "ApplicationNotFound",
    )


async def test_applications_tell_what_can_be_done(alice: Program) -> None:
    told = await alice.call("OPTIONS", "/ucwa/v1/applications")
    assert (told.status, told.headers["Allow"]) == (200, "GET,OPTIONS,POST")
    names = ["culture", "endpointId", "instanceId", "type", "userAgent"]
    if not alice.xml:
        assert told.json == {
            "metadata": [
                {"httpMethod": "GET", "parameters": []},
                {"httpMethod": "OPTIONS", "parameters": []},
                {
                    "httpMethod": "POST",
                    "parameters": [{"name": name, "supportedValues": []} for name in names],
                },
            ]
        }
        return
    root = ElementTree.fromstring(told.raw)
    assert (root.tag, len(root), b"\n" in told.raw) == ("optionsMetadata", 1, False)
    methods = root.findall("metadata/httpMethodMetadata")
    assert [method.findtext("httpMethod") for method in methods] == ["GET", "OPTIONS", "POST"]
    parameters = methods[2].findall("parameters/parameter")
    assert [parameter.findtext("name") for parameter in parameters] == names
    assert all(parameter.find("supportedValues") is not None for parameter in parameters)


async def test_head_tells_what_get_would(alice: Program) -> None:
    await alice.start()
    dashboard = await alice.dashboard()
    for address in (alice.application, "/ucwa", "/ucwa/xframe", dashboard.link("me", "photo")):
        shown, told = await alice.get(address), await alice.call("HEAD", address)
        assert (told.status, told.raw) == (200, b"")
        for name in ("Content-Type", "Content-Length", "ETag"):
            assert told.headers.get(name) == shown.headers.get(name), (address, name)
    told = await alice.call("HEAD", alice.next)
    assert (told.status, told.raw) == (200, b""), "and takes no poll's place"
    unnamed = await alice.call("HEAD", f"{alice.application}/nowhere")
    assert unnamed.status == 404


async def test_the_cookie_opens_pictures_and_nothing_else(api: Api) -> None:
    alice = Program(api, "alice")
    created = await alice.start()
    cookie = {"Cookie": created.headers["Set-Cookie"].partition(";")[0]}
    photo = created.link("me", "photo")
    assert (await request(api, "GET", photo, {})).status == 401
    shown = await request(api, "GET", photo, cookie)
    assert shown.status == 200
    assert shown.headers["Content-Type"].startswith("image/")
    for path in (alice.application, f"{alice.application}/me", "/meetings", f"{photo}/x"):
        assert (await request(api, "GET", path, cookie)).status == 401


async def test_what_must_be_given_is_marked_in_the_description(api: Api) -> None:
    """Without any input each operation names the first that it misses; the document says that it is required."""
    document = (await request(api, "GET", "/openapi.json", {})).json
    alice = Program(api, "alice")
    await alice.start()
    known = {
        "applicationId": alice.application.rpartition("/")[2],
        "phoneType": "Home",
        "groupId": "default",
        "address": "bob@example.com",
    }
    marked = set()
    for path, method, inputs in with_inputs(document):
        if not set(re.findall(r"{(\w+)}", path)) <= known.keys():
            continue
        refused = await alice.call(method, path.format(**known), {})
        said = {name for name, text in inputs.items() if "required" in text}
        if refused.status == 400:
            assert refused.subcode == "ParameterValidationFailure", path
            (missed,) = refused.json["parameters"]
            assert missed in said, f"{path}: {missed} is required, and nobody says so"
            marked.add(path.rpartition("/")[2])
        else:
            assert not {name for name in said if inputs[name].startswith("required")}, path
    assert {"applications", "joinOnlineMeeting", "reportMyNetwork", "groups"} <= marked
    applications = document["components"]["schemas"]["UcwaPostApplicationsInputs"]
    assert {"culture", "userAgent"} <= set(applications["required"])


def with_inputs(document: Json) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Path, method, and the description of each input."""
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if not path.startswith("/ucwa/v1/") or "requestBody" not in operation:
                continue
            (content,) = operation["requestBody"]["content"].values()
            if "$ref" not in content["schema"]:
                continue
            shape = schemas[content["schema"]["$ref"].rpartition("/")[2]]
            texts = {name: it.get("description", "") for name, it in shape["properties"].items()}
            for name in shape.get("required", []):
                assert texts[name].startswith("required"), (path, name)
            yield path, method.upper(), texts
