"""Where programs begin: at whatever spelling of an address they put together, going on by what they are linked to.

Public clients pass the addresses of `user` and `applications` on to their HTTP library as they are, and put relative
ones below an application behind the host of `applications`. So does the one here, which shares nothing with the rig.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from aiohttp import ClientSession
from rig_meetings import SECRET, Api, Json, token_for
from ucwa_rig import Answer, Program, request, running_ucwa

from conference.tokens import TokenUser, issue
from conference.ucwa.engine.spelling import spelled

FORMS = [
    "application/json",
    "application/xml",
    "application/vnd.microsoft.com.ucwa+json",
    "application/vnd.microsoft.com.ucwa+xml;q=0.9, */*;q=0.1",
]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path) as api:
        yield api


def origin_of(api: Api) -> str:
    return str(api.server.make_url("")).rstrip("/")


async def ask(api: Api, path: str, **headers: str) -> Answer:
    return await request(api, "GET", path, {"Accept": "application/json", **headers})


# --- a client of its own ----------------------------------------------------------------------


class PublicClient:
    """Knows one address, and does with hrefs what public clients do."""

    def __init__(self, session: ClientSession, domain: str, token: str) -> None:
        self._session = session
        self._domain = domain
        self._token = token
        self._host = ""

    async def start(self) -> Json:
        root = await self._get(f"{self._domain}/", signed_in=False)
        user = await self._get(root["_links"]["user"]["href"])
        applications = user["_links"]["applications"]["href"]
        parts = urlsplit(applications)
        self._host = f"{parts.scheme}://{parts.netloc}"
        body = {"culture": "en-US", "userAgent": "Public/1.0", "endpointId": "e"}
        async with self._session.post(applications, json=body, headers=self._headers()) as created:
            assert created.status == 201
            return await created.json()

    async def below(self, href: str) -> Json:
        return await self._get(self._host + href)

    async def _get(self, address: str, *, signed_in: bool = True) -> Json:
        headers = self._headers() if signed_in else {"Accept": "application/json"}
        async with self._session.get(address, headers=headers) as found:
            assert found.status == 200, address
            return await found.json()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer cwt={self._token}", "Accept": "application/json"}


async def test_a_public_client_gets_from_the_domain_to_its_meetings(api: Api) -> None:
    client = PublicClient(api.session, origin_of(api), token_for("alice"))
    application = await client.start()
    meetings = application["_embedded"]["onlineMeetings"]["_links"]["myOnlineMeetings"]["href"]
    assert meetings.startswith("/ucwa/")
    assert (await client.below(meetings))["rel"] == "myOnlineMeetings"
    events = await client.below(application["_links"]["events"]["href"])
    assert events["_links"]["next"]["href"].startswith("/ucwa/")


# --- where addresses lead ---------------------------------------------------------------------


async def test_above_applications_addresses_have_the_host_that_was_asked(api: Api) -> None:
    for host in ("lyncdiscover.example.com", "meet.example.com:8443", "[2001:db8::1]:81"):
        root = await ask(api, "/ucwa", Host=host)
        assert root.href == f"http://{host}/ucwa"
        headers = {"Host": host, "Authorization": f"Bearer {token_for('alice')}"}
        user = await request(api, "GET", urlsplit(root.link("user")).path, headers)
        assert user.json["_links"] == {
            "self": {"href": f"http://{host}/autodiscover/autodiscoverservice.svc/root/oauth/user"},
            "applications": {"href": f"http://{host}/ucwa/v1/applications", "revision": "2"},
            "xframe": {"href": f"http://{host}/ucwa/xframe"},
        }


async def test_an_operator_says_where_the_domain_is(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    public = "https://meet.example.com"
    async with running_ucwa(database_url, redis_url, tmp_path, public_url=f"{public}/") as api:
        root = await ask(api, "/")
        assert all(link["href"].startswith(f"{public}/") for link in root.json["_links"].values())
        alice = Program(api, "alice")
        created = await alice.post(
            "/ucwa/v1/applications", {"culture": "de", "userAgent": "x", "endpointId": "1"}
        )
        assert created.href.startswith("/ucwa/v1/applications/")
        assert created.headers["Location"] == created.href


async def test_a_host_that_is_none_costs_nobody_anything(api: Api) -> None:
    for host in ("a b", "[", "x:99999999", "x/y", ""):
        assert (await ask(api, "/ucwa", Host=host)).status in (200, 400), host


async def test_a_batch_is_told_the_same(api: Api) -> None:
    alice = Program(api, "alice")
    created = await alice.start()
    part = "--b\r\nContent-Type: application/http\r\n\r\nGET /UCWA/ HTTP/1.1\r\n\r\n\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/batching; boundary=b"}
    answer = await alice.call("POST", created.link("batch"), headers=headers, data=part.encode())
    assert f'"href":"{origin_of(api)}/ucwa/xframe"'.encode() in answer.raw


# --- spellings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/ucwa",
        "/ucwa/",
        "/UCWA",
        "/autodiscover/autodiscoverservice.svc/root",
        "/Autodiscover/AutodiscoverService.svc/root",
        "/AutoDiscover/AutodiscoverService.svc/Root/",
        "/Autodiscover/AutodiscoverService.svc/root?originalDomain=example.com",
        "/?sipuri=alice@example.com",
    ],
)
async def test_the_root(api: Api, path: str) -> None:
    plain = await ask(api, "/ucwa")
    for form in FORMS:
        found = await ask(api, path, Accept=form)
        assert (found.status, found.json["rel"]) == (200, "root"), form
        assert found.headers["Content-Type"].startswith(form.partition(";")[0])
        assert found.link("user") == plain.link("user")
    told = await request(api, "HEAD", path, {"Accept": "application/json"})
    assert (told.status, told.raw) == (200, b"")


@pytest.mark.parametrize(
    "host", ["lyncdiscover.example.com", "LyncDiscoverInternal.example.com:81"]
)
async def test_a_name_that_is_there_for_programs(api: Api, host: str) -> None:
    """Many say nothing of forms, and read JSON. A browser that is sent there finds the web client as elsewhere."""
    for accept in ("*/*", "application/json", ""):
        root = await request(api, "GET", "/", {"Host": host, "Accept": accept})
        assert root.link("user").startswith(f"http://{host.lower()}/"), accept
        if accept != "application/json":
            assert root.headers["Content-Type"].startswith("application/json")
    page = await request(api, "GET", "/", {"Host": host, "Accept": BROWSER})
    assert page.headers["Content-Type"].startswith("text/html")


async def test_the_only_address_that_a_refusal_names_is_where_to_sign_in(api: Api) -> None:
    """Clients find it by an expression, some by the first address that there is in the headers."""
    refused = await ask(api, "/autodiscover/autodiscoverservice.svc/root/oauth/user")
    headers = "\n".join(f"{name}: {value}" for name, value in refused.headers.items())
    assert re.findall(r"https?://[^\s\"]+", headers) == [f"{origin_of(api)}/WebTicket/oauthtoken"]
    assert re.findall('MsRtcOAuth href="([^"]*)"', headers) == [
        f"{origin_of(api)}/WebTicket/oauthtoken"
    ]


@pytest.mark.parametrize("accept", [BROWSER, "*/*", "", "text/html, application/json"])
async def test_a_browser_finds_the_web_client_at_the_first_address(api: Api, accept: str) -> None:
    page = await request(api, "GET", "/", {"Accept": accept})
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Vary"] == "Accept"


@pytest.mark.parametrize(
    "path",
    [
        "/autodiscover/autodiscoverservice.svc/root/oauth/user",
        "/Autodiscover/AutodiscoverService.svc/root/oauth/user",
        "/Autodiscover/AutodiscoverService.svc/root/oauth/user?originalDomain=example.com",
        "/autodiscover/AutodiscoverService.svc/root/OAuth/User/",
        "/Autodiscover/AutodiscoverService.svc/root/user",
    ],
)
async def test_the_user(api: Api, path: str) -> None:
    refused = await ask(api, path)
    assert (refused.status, refused.json["code"]) == (401, "Unauthorized")
    assert len(refused.headers.getall("WWW-Authenticate")) == 2
    found = await Program(api, "alice").get(path)
    assert (found.status, found.json["rel"]) == (200, "user")
    assert found.link("applications") == f"{origin_of(api)}/ucwa/v1/applications"


@pytest.mark.parametrize(
    "path",
    [
        "/ucwa/xframe",
        "/ucwa/xframe/",
        "/xframe",
        "/xframe/XFrame.html",
        "/Autodiscover/XFrame/XFrame.html",
        "/autodiscover/xframe/xframe.html",
    ],
)
async def test_the_frame(api: Api, path: str) -> None:
    page = await request(api, "GET", path, {"Accept": BROWSER})
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    "path", ["/WebTicket/oauthtoken", "/webticket/oauthtoken", "/WebTicket/OAuthToken"]
)
async def test_the_token_endpoint(api: Api, path: str) -> None:
    """The old token, which ran out, is not looked at wherever one asks."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": "Bearer cwt=over",
    }
    refused = await request(api, "POST", path, headers, b"grant_type=other")
    assert (refused.status, refused.json["error"]) == (400, "unsupported_grant_type")


async def test_a_guest_may_begin_where_anybody_may(api: Api) -> None:
    """A token for one meeting opens no less than none does."""
    user = TokenUser(id=uuid4(), name="", email="")
    lifetime = timedelta(minutes=1)
    token = issue(SECRET, user=user, now=datetime.now(UTC), lifetime=lifetime, meeting=uuid4())
    guest = Program(api, "guest", token)
    for path in ("/", "/UCWA/", "/xframe/XFrame.html", "/docs", "/healthz"):
        assert (await guest.get(path)).status == 200, path
    assert (await guest.get("/meetings")).status == 403


async def test_other_methods_are_refused_as_they_are_there(api: Api) -> None:
    alice = Program(api, "alice")
    refused = await alice.delete("/Autodiscover/AutodiscoverService.svc/root/oauth/user")
    assert (refused.status, refused.json["code"]) == (405, "MethodNotAllowed")
    assert "GET" in refused.headers["Allow"]
    nowhere = await alice.get("/AUTODISCOVER/nothing")
    assert (nowhere.status, nowhere.json["code"]) == (404, "NotFound")


@pytest.mark.parametrize("alias", ["/ucwa/oauth/v1/applications", "/UCWA/OAuth/v1/Applications"])
async def test_an_application_by_its_other_address(api: Api, alias: str) -> None:
    """It is one application with one address, and all that is below it is found below the other too."""
    alice = Program(api, "alice")
    inputs = {"culture": "en-US", "userAgent": "x", "endpointId": "1", "instanceId": "tab 1"}
    created = await alice.post(alias, inputs)
    assert created.status == 201
    assert created.headers["Location"] == created.href
    own = created.href.removeprefix("/ucwa/v1/applications")
    assert own != created.href
    by_alias = await alice.get(f"{alias}{own}")
    assert (by_alias.status, by_alias.json) == (200, created.json)
    meetings = created.link("onlineMeetings", "myOnlineMeetings")
    other = meetings.replace("/ucwa/v1/applications", alias)
    scheduled = await alice.post(f"{other}?subject=a%20%26%20b")
    assert (scheduled.status, scheduled.json["subject"]) == (201, "a & b")
    assert scheduled.href.startswith(meetings)
    contact = f"{alias}{own.partition('?')[0]}/people/bob%40example.com"
    assert (await alice.get(contact)).json["uri"] == "sip:bob@example.com"
    cookie = {"Cookie": created.headers["Set-Cookie"].partition(";")[0]}
    photo = created.link("me", "photo").replace("/ucwa/v1/applications", alias.lower())
    assert (await request(api, "GET", photo, cookie)).status == 200
    assert (await alice.delete(f"{alias}{own}")).status == 204
    assert (await alice.get(created.href)).status == 404


def test_nothing_else_is_taken_for_one_of_them() -> None:
    for path in ("/join/a", "/ucwa/v1/applicationsx", "/ucwa/other", "/meetings", "/ucwa//"):
        assert spelled(path) in (path, "/ucwa")
    assert spelled("/ucwa/oauth/v1/applications/A/people/B%2Fc") == (
        "/ucwa/v1/applications/A/people/B%2Fc"
    )
    assert spelled("/ucwa/v1/applications/A/me") == "/ucwa/v1/applications/A/me"
