"""What a browser adds by itself: cookies that are old, and cookies that other sites' pages would use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from rig_meetings import Api, running_api, token_for

PUBLIC_URL = "https://meet.example.org"
OPEN = [
    "/",
    "/join/abcdefghij",
    "/docs",
    "/openapi.json",
    "/favicon.ico",
    "/healthz",
    "/web/js/app.js",
    "/ucwa",
    "/ucwa/xframe",
    "/autodiscover/autodiscoverservice.svc/root",
]
OLD = [
    token_for("alice", lifetime=-3600),
    "nonsense",
    "a.b.c",
    "\xe9" * 20,
    "x" * 3500,
]


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database_url, redis_url, tmp_path, public_url=PUBLIC_URL) as api:
        yield api


def cookie(token: str) -> dict[str, str]:
    return {"Cookie": f"ZM_AUTH_TOKEN={token}; cwt_ucwa={token}"}


@pytest.mark.parametrize("path", OPEN)
async def test_an_old_cookie_closes_no_page(api: Api, path: str) -> None:
    without = await api.call("GET", path)
    assert without.status == 200
    for token in OLD:
        for headers in (cookie(token), {**cookie(token), "Sec-Fetch-Site": "cross-site"}):
            assert (await api.call("GET", path, headers=headers)).json == without.json


async def test_nor_does_it_open_any_other(api: Api) -> None:
    for token in OLD:
        assert (await api.call("GET", "/meetings", headers=cookie(token))).status == 401


# --- other sites' pages -----------------------------------------------------------------------


OWN_HOST = "own"
WRITES: list[tuple[str | None, str | None, int]] = [
    # Origin, Sec-Fetch-Site, the status of a write
    (OWN_HOST, None, 200),
    (OWN_HOST, "same-origin", 200),
    (OWN_HOST, "cross-site", 403),
    (PUBLIC_URL, None, 200),
    (PUBLIC_URL, "same-origin", 200),
    (f"{PUBLIC_URL}:443", None, 200),
    (f"{PUBLIC_URL}:8443", None, 403),
    (f"{PUBLIC_URL}.evil.example", None, 403),
    ("https://evil.example", None, 403),
    ("https://evil.example", "same-origin", 403),
    ("http://127.0.0.1:1", None, 403),
    ("null", None, 403),
    ("", None, 403),
    ("http://[", None, 403),
    ("nonsense", None, 403),
    ("file:///etc", None, 403),
    (None, None, 200),  # no browser's page: a program that holds the token
    (None, "none", 200),
    (None, "same-origin", 200),
    (None, "same-site", 403),
    (None, "cross-site", 403),
]


def told_by(api: Api, origin: str | None, site: str | None) -> dict[str, str]:
    headers = {}
    if origin is not None:
        headers["Origin"] = str(api.server.make_url("/")).rstrip("/") if origin == "own" else origin
    if site is not None:
        headers["Sec-Fetch-Site"] = site
    return headers


@pytest.mark.parametrize(("origin", "site", "status"), WRITES)
async def test_who_may_act_with_a_cookie(
    api: Api, origin: str | None, site: str | None, status: int
) -> None:
    """A request that changes something and a WebSocket, by one rule; a bearer token was meant."""
    told = told_by(api, origin, site)
    with_cookie = {**cookie(token_for("alice")), **told}
    answer = await api.call("POST", "/channels", headers=with_cookie)
    assert answer.status == (201 if status == 200 else 403)
    assert await _opened(api, with_cookie) == (101 if status == 200 else 403)
    if status == 403:
        assert answer.code == "cross_site"
    bearer = {"Authorization": f"Bearer {token_for('alice')}", **told}
    assert (await api.call("POST", "/channels", headers=bearer)).status == 201
    assert await _opened(api, bearer) == 101
    assert (await api.call("GET", "/meetings", headers=with_cookie)).status == 200, (
        "changes nothing"
    )


async def test_without_a_public_url_the_host_decides(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with running_api(database_url, redis_url, tmp_path) as api:
        mine = cookie(token_for("alice"))
        for host, origin, status in (
            ("meet.example.org", "https://meet.example.org", 201),
            ("meet.example.org:443", "https://meet.example.org", 201),
            ("meet.example.org:8443", "https://meet.example.org:8443", 201),
            ("inner:8080", "https://meet.example.org", 403),
        ):
            headers = {**mine, "Host": host, "Origin": origin}
            answer = await api.call("POST", "/channels", headers=headers)
            assert answer.status == status, (host, origin)


async def _opened(api: Api, headers: dict[str, str]) -> int:
    try:
        async with api.session.ws_connect(api.server.make_url("/events"), headers=headers):
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return error.status


# --- HEAD -------------------------------------------------------------------------------------


async def test_head_is_served_wherever_get_is(api: Api) -> None:
    (alice,) = await api.people("alice")
    document = (await api.call("GET", "/openapi.json")).json
    nobody = "00000000-0000-4000-8000-000000000000"
    looked = 0
    for path, methods in document["paths"].items():
        if "get" not in methods:
            continue
        address = path
        while "{" in address:
            before, _, rest = address.partition("{")
            address = before + nobody + rest.partition("}")[2]
        if address.endswith("/channels/" + nobody + "/events"):
            address += "?ack=1"
        got = await alice.get(address)
        headed = await alice.call("HEAD", address)
        assert (headed.status, headed.json) == (got.status, b""), address
        looked += 1
    assert looked > 50
    for address in ("/", "/join/abcdefghij", "/web/js/app.js", "/docs", "/openapi.json"):
        headed = await api.call("HEAD", address)
        assert (headed.status, headed.json) == (200, b"")


async def test_head_takes_nothing_over(api: Api) -> None:
    """A poll, a stream and a socket are not displaced by a look at their address."""
    alice = api.person("alice")
    queue_id = await alice.open_channel()
    stream = await api.session.get(
        api.server.make_url(f"/channels/{queue_id}/stream"), headers=alice.headers
    )
    for address in (f"/channels/{queue_id}/events?ack=1", f"/channels/{queue_id}/stream"):
        headed = await alice.call("HEAD", address)
        assert (headed.status, headed.json) == (200, b"")
    await alice.new_meeting()
    async with stream:
        lines = b""
        while b"MEETING_CREATED" not in lines:
            lines += await stream.content.readline()
    assert b"replaced" not in lines
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
    }
    assert (await alice.call("HEAD", "/events", None, upgrade)).status == 400
