"""The description is valid, is kept by what it describes, and nothing is served that it leaves out."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from rig_meetings import Api, Json, running_api, running_worker, token_for
from ucwa_rig import Program

SCHEMATHESIS_WITHIN = 100.0
OTHERS_NAMES = {
    "UcwaResource": {"_links", "_embedded"},
    "UcwaEvents": {"_links"},
    "TokenRequest": {"grant_type", "ms_rtc_conferenceuri", "ms_rtc_renew"},
    "TokenGranted": {"access_token", "token_type", "expires_in"},
    "TokenRefused": {"error_description"},
}
"""Fixed by UCWA, and by RFC 6749."""
UCWA = "^/(ucwa|[aA]utodiscover|WebTicket)"


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    short = {"poll_timeout": 0.05, "poll_timeout_max": 0.2}
    async with (
        running_worker(redis_url),
        running_api(database_url, redis_url, tmp_path, **short) as api,
    ):
        yield api


async def document(api: Api) -> Json:
    return (await api.call("GET", "/openapi.json")).json


async def test_the_description_is_valid(api: Api) -> None:
    described = await document(api)
    assert described["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(described).iter_errors()) == []


async def test_every_route_is_described(api: Api) -> None:
    described = await document(api)
    pages = {"/", "/join/{code}", "/docs", "/favicon.ico", "/web/{path}", "/openapi.json"}
    served = {
        (route.method, resource.canonical)
        for resource in api.server.app.router.resources()
        for route in resource
        if resource.canonical not in pages and route.method not in ("HEAD", "*")
    }
    told = {(method.upper(), path) for path, item in described["paths"].items() for method in item}
    assert served == told


async def test_the_published_operations_are_there(api: Api) -> None:
    """By the names and statuses of the published Meeting API, the two recording calls left out."""
    described = await document(api)
    found = {
        operation["operationId"]: (f"{method.upper()} {path}", set(operation["responses"]))
        for path, item in described["paths"].items()
        for method, operation in item.items()
    }
    usual = {"401", "403", "404"}
    expected = {
        "getMeetingPublic": ("GET /public/meetings/{meetingId}", {"200"}),
        "listMeeting": ("GET /meetings", {"200"}),
        "createMeeting": ("POST /meetings", {"200"}),
        "getMeeting": ("GET /meetings/{meetingId}", {"200", *usual}),
        "deleteMeeting": ("DELETE /meetings/{meetingId}", {"204", *usual}),
        "startMeeting": ("POST /meetings/{meetingId}/start", {"200", *usual}),
        "stopMeeting": ("POST /meetings/{meetingId}/stop", {"200", *usual}),
        "joinMeeting": ("POST /meetings/{meetingId}/join", {"200", *usual}),
        "leaveMeeting": ("POST /meetings/{meetingId}/leave", {"204", *usual}),
        "getQueue": ("GET /meetings/{meetingId}/queue", {"200", *usual}),
        "updateQueuedUser": ("POST /meetings/{meetingId}/queue/{userId}", {"204", *usual}),
        "updateMediaStream": ("PUT /meetings/{meetingId}/media", {"204", "401", "404"}),
        "answerRtcMediaStream": ("PUT /meetings/{meetingId}/media/answer", {"204", *usual}),
        "updateSubscriptionsMediaStream": (
            "PUT /meetings/{meetingId}/media/subscribe",
            {"204", *usual},
        ),
        "updateAudioStream": ("PUT /meetings/{meetingId}/audio", {"204", *usual}),
        "offerRtcAudioStream": ("PUT /meetings/{meetingId}/audio/offer", {"204", *usual}),
    }
    for name, (place, statuses) in expected.items():
        assert found[name][0] == place
        assert statuses <= found[name][1], name


async def test_names_are_camel_case_and_events_are_described(api: Api) -> None:
    schemas = (await document(api))["components"]["schemas"]
    for name, schema in schemas.items():
        for field in schema.get("properties", {}):
            others = OTHERS_NAMES.get(name, frozenset())
            assert field in others or re.fullmatch(r"[a-z][a-zA-Z]*", field), f"{name}.{field}"
    assert "ParticipantJoined" in schemas
    events = schemas["Polled"]["properties"]["events"]["items"]
    assert events == {"$ref": "#/components/schemas/Event"}


async def test_the_documentation_page_asks_nobody_else(api: Api) -> None:
    page = (await api.call("GET", "/docs")).json.decode()
    assets = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert assets
    for address in assets:
        assert address.startswith("/"), address
        assert (await api.call("GET", address)).status == 200
    for address in [a for a in assets if a.endswith(".js")]:
        script = (await api.call("GET", address)).json.decode()
        assert "http://" not in script
        assert "https://" not in script


@pytest.mark.slow
@pytest.mark.timeout(SCHEMATHESIS_WITHIN + 60)
async def test_schemathesis_finds_nothing(api: Api, tmp_path: Path) -> None:
    """Every operation under generated good and bad requests: statuses, bodies, headers as described.

    /events is a WebSocket, which OpenAPI can't say; nor can a schema that a date has to be in the future.
    """
    (tmp_path / "schemathesis.toml").write_text(
        '[[operations]]\ninclude-operation-id = "createMeeting"\n'
        "checks.positive_data_acceptance.enabled = false\n"
    )
    await schemathesis(
        api, tmp_path, "--exclude-path=/events", f"--exclude-path-regex={UCWA}", "--max-examples=8"
    )


@pytest.mark.slow
@pytest.mark.timeout(SCHEMATHESIS_WITHIN + 60)
async def test_schemathesis_finds_nothing_in_ucwa(api: Api, tmp_path: Path) -> None:
    """With an application that is there. Which inputs will do is said in words, and names that
    nobody knows are ignored whatever their value: whether any is taken is not told by its schema."""
    alice = Program(api, "alice")
    await alice.start()
    application = alice.application.rpartition("/")[2]
    (tmp_path / "schemathesis.toml").write_text(
        f'[parameters]\n"path.applicationId" = "{application}"\n'
    )
    await schemathesis(
        api,
        tmp_path,
        f"--include-path-regex={UCWA}",
        "--exclude-operation-id=deleteApplication",
        "--exclude-checks=positive_data_acceptance,negative_data_rejection",
        "--phases=examples,coverage,fuzzing",
        "--max-examples=3",
    )


async def schemathesis(api: Api, tmp_path: Path, *options: str) -> None:
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        str(api.server.make_url("/openapi.json")),
        "--header",
        f"Authorization: Bearer {token_for('alice')}",
        "--request-timeout=10",
        "--seed=1",
        "--warnings=off",
        "--no-color",
        *options,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), SCHEMATHESIS_WITHIN)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()
