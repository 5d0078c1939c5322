"""Errors, headers, limits, operators' pages: what every request has in common."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig_meetings import Api, running_api, running_worker


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database_url, redis_url, tmp_path, body_limit=2000) as api:
        yield api


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "no_body"),
        (b"{", "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b'{"name": "\xff", "meetingType": "permanent"}', "bad_json"),
        (b'{"name": "\\ud800", "meetingType": "permanent"}', "bad_json"),
        (b"nonsense", "bad_json"),
        (b'{"name": "x", "meetingType": "permanent"} trailing', "bad_json"),
        (b"[" * 1900, "bad_json"),
        (b"null", "bad_body"),
        (b'{"name": "x", "meetingType": "permanent", "name": "y"}', "bad_json"),
        (b'{"name": "x", "meetingType": "permanent", "n\\u0061me": "y"}', "bad_json"),
        (b'{"name": ' + b"[" * 1900, "bad_body"),
        (b'{"other": ' + b"[" * 1900, "bad_body"),
    ],
)
async def test_what_is_not_json_is_refused(api: Api, data: bytes, code: str) -> None:
    alice = api.person("alice")
    refused = await api.call("POST", "/meetings", headers=alice.headers, data=data)
    assert refused.status == 400, refused
    assert refused.code in (code, "bad_body")
    assert refused.json["message"]


async def test_a_body_that_is_too_large(api: Api) -> None:
    alice = api.person("alice")
    refused = await alice.post("/meetings", {"name": "x" * 3000, "meetingType": "permanent"})
    assert refused.status == 413
    assert refused.code


async def test_a_wrong_method_says_which_are_right(api: Api) -> None:
    alice = api.person("alice")
    refused = await alice.call("PATCH", "/meetings")
    assert (refused.status, refused.code) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= set(refused.headers["Allow"].split(","))


async def test_an_unknown_path(api: Api) -> None:
    refused = await api.person("alice").get("/nowhere")
    assert (refused.status, refused.code) == (404, "not_found")


async def test_the_request_id_is_the_clients_or_ours(api: Api) -> None:
    given = await api.call("GET", "/healthz", headers={"X-Request-Id": "abc-1"})
    assert given.headers["X-Request-Id"] == "abc-1"
    for odd in ("x" * 200, "a b", "ü"):
        made = await api.call("GET", "/healthz", headers={"X-Request-Id": odd})
        assert made.headers["X-Request-Id"] not in ("", odd)
    refused = await api.call("GET", "/nowhere", headers={"X-Request-Id": "abc-2"})
    assert refused.headers["X-Request-Id"] == "abc-2"


async def test_readiness_names_what_is_missing(api: Api, redis_url: str) -> None:
    state = await api.call("GET", "/readyz")
    assert state.status == 503
    assert state.json == {
        "ready": False,
        "database": {"ok": True},
        "redis": {"ok": True},
        "workers": {"ok": False, "reason": "no media worker"},
    }
    async with running_worker(redis_url) as worker:
        assert (await api.call("GET", "/readyz")).status == 200
        worker.draining = True
        await worker._register()
        state = await api.call("GET", "/readyz")
        assert state.json["workers"] == {"ok": False, "reason": "every media worker drains"}


async def test_figures(api: Api) -> None:
    (alice,) = await api.people("alice")
    path = await alice.started_meeting()
    await alice.join(path)
    await alice.get(f"{path}-nonsense")
    text = (await api.call("GET", "/metrics")).json.decode()
    lines = text.splitlines()
    assert "parley_meetings_active 1.0" in lines
    assert "parley_participants 1.0" in lines
    assert "parley_outbox_backlog 0.0" in lines
    assert "parley_database_up 1.0" in lines
    joins = 'parley_http_requests_total{method="POST",route="/meetings/{meetingId}/join",status="200"} 1.0'
    assert joins in lines
    assert path[10:] not in text, "no ids in figures"


async def test_the_pages_are_strict_about_what_they_load(api: Api) -> None:
    page = await api.call("GET", "/join/abcdefghij")
    assert page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["Referrer-Policy"] == "no-referrer"
    script = await api.call("GET", "/web/js/app.js")
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert script.headers["Cache-Control"] == "no-cache"
    etag = script.headers["Etag"]
    unchanged = await api.call("GET", "/web/js/app.js", headers={"If-None-Match": etag})
    assert unchanged.status == 304


@pytest.mark.parametrize(
    "path", ["/web/../app.py", "/web/%2e%2e/app.py", "/web/js/..%2f..%2fapp.py", "/web/js", "/web/"]
)
async def test_no_path_leads_out_of_the_web_folder(api: Api, path: str) -> None:
    answer = await api.call("GET", path)
    assert answer.status in (401, 404)
    assert b"create_app" not in (answer.json if isinstance(answer.json, bytes) else b"")
