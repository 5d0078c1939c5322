"""Who is let in: tokens of every kind, on every path."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, RSAKey
from rig_meetings import SECRET, Api, running_api, token_for

from conference.api.auth import Authenticator, Caller, TokenVerifier
from conference.api.jwks import JwksKeys
from conference.errors import Unauthenticated, Unavailable

ID = uuid4()


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database_url, redis_url, tmp_path) as api:
        yield api


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def sign(
    claims: dict[str, object], key: Key | None = None, alg: str = "HS256", **header: str
) -> str:
    signing = key or OctKey.import_key(SECRET)
    return jwt.encode({"alg": alg, **header}, claims, signing, algorithms=[alg])


def unsigned(header: dict[str, object], claims: dict[str, object]) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (header, claims)
    ]
    return b".".join([*parts, b""]).decode()


def written(claims: str, header: str = '{"alg": "HS256"}') -> str:
    """Signed with our secret, though no library writes it so."""
    parts = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in (header, claims)]
    mac = hmac.new(SECRET.encode(), b".".join(parts), "sha256").digest()
    return b".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


# --- requests ---------------------------------------------------------------------------------


CLOSED = [
    ("GET", "/meetings"),
    ("POST", "/meetings"),
    ("GET", "/meetings/nonsense"),
    ("DELETE", f"/meetings/{ID}"),
    ("POST", f"/meetings/{ID}/start"),
    ("POST", f"/meetings/{ID}/stop"),
    ("POST", f"/meetings/{ID}/join"),
    ("POST", f"/meetings/{ID}/leave"),
    ("GET", f"/meetings/{ID}/queue"),
    ("POST", f"/meetings/{ID}/queue/{ID}"),
    ("PUT", f"/meetings/{ID}/media"),
    ("PUT", f"/meetings/{ID}/media/answer"),
    ("PUT", f"/meetings/{ID}/media/subscribe"),
    ("PUT", f"/meetings/{ID}/audio"),
    ("PUT", f"/meetings/{ID}/audio/offer"),
    ("GET", f"/meetings/{ID}/members"),
    ("GET", f"/rooms/{ID}/meeting"),
    ("GET", f"/users/{ID}"),
    ("GET", "/users"),
    ("POST", "/channels"),
    ("GET", f"/channels/{ID}/events?ack=1"),
    ("DELETE", f"/channels/{ID}"),
    ("GET", "/nowhere"),
    ("PATCH", "/meetings"),
]


async def test_401_comes_first(api: Api) -> None:
    for method, path in CLOSED:
        answer = await api.call(method, path, data=b"not even JSON")
        assert (answer.status, answer.code) == (401, "no_token"), (method, path)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "path", ["/healthz", "/metrics", "/docs", "/openapi.json", "/", "/join/abc"]
)
async def test_open_paths_need_no_token(api: Api, path: str) -> None:
    assert (await api.call("GET", path)).status == 200


async def test_a_token_may_come_in_several_ways(api: Api) -> None:
    token = token_for("alice")
    for headers in (
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"bearer {token}"},
        {"Authorization": f"Bearer cwt={token}"},
        {"Cookie": f"ZM_AUTH_TOKEN={token}"},
    ):
        assert (await api.call("GET", "/meetings", headers=headers)).status == 200, headers


NOW = datetime.now(UTC).timestamp()
DAY = 86_400
CLAIMS: dict[str, object] = {"sub": str(ID), "name": "Zoe", "exp": NOW + 600}


BAD_TOKENS = [
    "nonsense",
    "a.b.c",
    "é.é.é",
    sign({**CLAIMS, "exp": NOW - 600}),
    sign({**CLAIMS, "nbf": NOW + 600}),
    sign({**CLAIMS, "sub": "alice"}),
    sign({"exp": NOW + 600}),
    sign({**CLAIMS, "exp": "tomorrow"}),
    sign(CLAIMS, OctKey.import_key("some other secret, long enough")),
    sign(CLAIMS, OctKey.import_key(SECRET), alg="HS512"),
    unsigned({"alg": "none"}, CLAIMS),
    unsigned({"alg": "HS256"}, CLAIMS),
    unsigned({"alg": 5}, CLAIMS),
    sign({**CLAIMS, "exp": 10**308}),
    sign({**CLAIMS, "exp": 10**400}),
    sign({**CLAIMS, "exp": float("inf")}),
    sign({**CLAIMS, "exp": float("nan")}),
    sign({**CLAIMS, "exp": NOW + 31 * DAY}),
    sign({**CLAIMS, "exp": NOW + 600, "iat": NOW + DAY}),
    sign({**CLAIMS, "exp": NOW + 600, "iat": float("nan")}),
    sign({**CLAIMS, "exp": NOW + 600, "nbf": float("nan")}),
    sign({"sub": str(ID)}),
    sign({"sub": str(ID), "iat": NOW - 31 * DAY}),
    sign({"sub": str(ID), "iat": NOW + DAY}),
    sign({"sub": str(ID), "iat": 10**308}),
    written(f'{{"sub": "{ID}", "exp": {NOW + 600}, "extra": {"[" * 2700}{"]" * 2700}}}'),
    written(f'{{"sub": {"[" * 5000}'),
    written("[" * 5000),
    written(f'{{"sub": "{ID}", "exp": {NOW + 600}, "sub": "{uuid4()}"}}'),
    written(f'{{"sub": "{ID}", "exp": {NOW + 600}, "s\\u0075b": "{uuid4()}"}}'),
    written(f'{{"sub": "{ID}", "exp": {NOW - 600}, "exp": {NOW + 600}}}'),
    written(f'{{"sub": "{ID}", "exp": {NOW + 600}}}', '{"alg": "HS256", "alg": "HS256"}'),
    written(f'{{"sub": "{ID}", "exp": {NOW + 600}}}', '{"alg": "HS256", "x": ' + "[" * 3000),
    written(
        f'{{"sub": "{ID}", "exp": {NOW + 600}}}',
        '{"alg": "HS256", "x": ' + "[" * 2500 + "]" * 2500 + "}",
    ),
    sign(CLAIMS)[:-2],
    sign(CLAIMS) + "." + sign(CLAIMS),
    "x" * 8_100,
]


BEHIND_A_TOKEN = (
    "/meetings",
    f"/public/meetings/{ID}",
    f"/channels/{ID}/events?ack=1",
    f"/users/{ID}",
    "/ucwa/oauth/v1/applications",
    "/ucwa/v1/applications/1",
    "/ucwa",
    "/join/abcdefghij",
    "/healthz",
    "/nowhere",
)


@pytest.mark.parametrize("token", BAD_TOKENS, ids=range(len(BAD_TOKENS)))
async def test_a_token_that_does_not_hold_is_401_on_every_path(
    api: Api, token: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in BEHIND_A_TOKEN:
        answer = await api.call("GET", path, headers=bearer(token))
        assert answer.status == 401, path
        cookie = {"Cookie": f"ZM_AUTH_TOKEN={token}"}
        as_cookie = await api.call("GET", path, headers=cookie)
        assert as_cookie.status in (401, 200, 404), path
    for path in (f"/channels/{ID}/stream", "/events"):
        answer = await api.call("GET", f"{path}?access_token={quote(token)}")
        assert answer.status == 401, path
    renewal = {
        "grant_type": "urn:microsoft.rtc:anonmeeting",
        "password": "x",
        "ms_rtc_conferenceuri": "x",
        "ms_rtc_renew": token,
    }
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await api.call(
        "POST", "/WebTicket/oauthtoken", None, form, urlencode(renewal).encode()
    )
    assert answer.status == 400
    assert "Traceback" not in capfd.readouterr().out


HOLDING_TOKENS = {
    "exp alone": {"exp": NOW + 600},
    "no end, from when it was issued": {"iat": NOW - 29 * DAY},
    "at its longest": {"iat": NOW, "exp": NOW + 30 * DAY},
    "by a clock that is ahead": {"iat": NOW + 20, "nbf": NOW + 20, "exp": NOW + 600},
    "by a clock that is behind": {"exp": NOW - 20},
}


@pytest.mark.parametrize("times", HOLDING_TOKENS.values(), ids=HOLDING_TOKENS.keys())
async def test_tokens_that_hold(times: dict[str, float]) -> None:
    verifier = TokenVerifier(SECRET, clock=lambda: NOW)
    found, end = await verifier.verify(sign({"sub": str(ID), **times}))
    assert found.user_id == ID
    assert end <= NOW + 30 * DAY


async def test_a_token_without_an_end_ends() -> None:
    now = [NOW]
    verifier = TokenVerifier(SECRET, clock=lambda: now[0], longest_life=1000)
    token = sign({"sub": str(ID), "iat": NOW})
    assert (await verifier.verify(token))[1] == NOW + 1000
    now[0] = NOW + 1031
    with pytest.raises(Unauthenticated, match="expired"):
        await verifier.verify(token)
    with pytest.raises(Unauthenticated, match="PARLEY_TOKEN_LIFETIME_MAX"):
        await verifier.verify(sign({"sub": str(ID), "exp": now[0] + 1100}))


async def test_an_empty_token_is_none(api: Api) -> None:
    assert (await api.call("GET", "/meetings", headers=bearer(""))).status == 401
    assert (await api.call("GET", f"/public/meetings/{ID}", headers=bearer(""))).status == 404


async def test_a_caller_becomes_a_user_with_a_name(api: Api) -> None:
    alice, bob = api.person("alice"), api.person("bob")
    await alice.get("/meetings")
    assert (await bob.get(f"/users/{alice.id}")).json == {"id": alice.id, "name": "Alice"}
    many = await bob.get(f"/users?userIds={alice.id},{bob.id},{uuid4()}")
    assert {(user["id"], user["name"]) for user in many.json} == {
        (alice.id, "Alice"),
        (bob.id, "Bob"),
    }
    for bad in ("/users", "/users?userIds=x", "/users?userIds=" + ",".join([bob.id] * 201)):
        assert (await bob.get(bad)).status == 400
    assert (await bob.get("/users?userIds=")).json == []
    both = await bob.get(f"/users?userIds={alice.id}&userIds={bob.id}")
    assert {user["id"] for user in both.json} == {alice.id, bob.id}
    assert (await bob.get(f"/users/{uuid4()}")).status == 404
    renamed = sign({**CLAIMS, "sub": alice.id, "name": "Alice\0 B."})
    await api.call("GET", "/meetings", headers=bearer(renamed))
    assert (await bob.get(f"/users/{alice.id}")).json["name"] == "Alice B."
    nameless = sign({"sub": alice.id, "exp": NOW + 600})
    await api.call("GET", "/meetings", headers=bearer(nameless))
    assert (await bob.get(f"/users/{alice.id}")).json["name"] == "Alice B."


# --- keys of others ---------------------------------------------------------------------------


class KeyServer:
    """Serves a key set over HTTP, and counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.asked = 0
        self.broken = False
        app = web.Application()
        app.router.add_get("/jwks", self._serve)
        self.server = TestServer(app)

    async def _serve(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.broken:
            return web.Response(text="{ broken")
        told = [key.as_dict(private=isinstance(key, OctKey)) for key in self.keys]
        return web.json_response({"keys": told})

    @property
    def url(self) -> str:
        return str(self.server.make_url("/jwks"))


@pytest.fixture
async def key_server() -> AsyncIterator[KeyServer]:
    served = KeyServer()
    async with served.server:
        yield served


def rsa(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid})


async def test_keys_of_a_jwks(key_server: KeyServer) -> None:
    first, second = rsa("one"), ECKey.generate_key("P-256", {"kid": "two"})
    key_server.keys = [first, second]
    verifier = TokenVerifier(None, JwksKeys(key_server.url))
    for key, alg, kid in ((first, "RS256", "one"), (second, "ES256", "two")):
        caller, _ = await verifier.verify(sign(CLAIMS, key, alg, kid=kid))
        assert caller.user_id == ID
    assert key_server.asked == 1
    with pytest.raises(Unauthenticated):
        await verifier.verify(sign(CLAIMS))  # HS256 while there is no secret
    with pytest.raises(Unauthenticated):
        await verifier.verify(sign(CLAIMS, rsa("one"), "RS256", kid="one"))


async def test_a_public_key_is_no_secret(key_server: KeyServer) -> None:
    """The classic confusion: HS256 with the text of the public key as its secret."""
    key = rsa("one")
    key_server.keys = [key]
    verifier = TokenVerifier("another secret of ours", JwksKeys(key_server.url))
    head, body, _ = unsigned({"alg": "HS256", "kid": "one"}, CLAIMS).split(".")
    mac = hmac.new(key.as_pem(private=False), f"{head}.{body}".encode(), "sha256").digest()
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    with pytest.raises(Unauthenticated):
        await verifier.verify(forged)


async def test_a_secret_in_a_public_key_set_does_not_count(key_server: KeyServer) -> None:
    shared = OctKey.import_key("x" * 32, {"kid": "oct"})
    key_server.keys = [shared]
    verifier = TokenVerifier(None, JwksKeys(key_server.url))
    with pytest.raises(Unauthenticated):
        await verifier.verify(sign(CLAIMS, shared, kid="oct"))


async def test_a_new_key_is_fetched_and_unknown_ones_do_not_flood(key_server: KeyServer) -> None:
    now = [0.0]
    key_server.keys = [rsa("one")]
    verifier = TokenVerifier(None, JwksKeys(key_server.url, clock=lambda: now[0]))
    await verifier.verify(sign(CLAIMS, key_server.keys[0], "RS256", kid="one"))
    newer = rsa("two")
    key_server.keys = [newer]
    token = sign(CLAIMS, newer, "RS256", kid="two")
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await verifier.verify(token)
    assert key_server.asked == 1, "not more often than every half minute"
    now[0] = 31.0
    assert (await verifier.verify(token))[0].user_id == ID
    assert key_server.asked == 2


async def test_a_broken_key_server(key_server: KeyServer) -> None:
    now = [0.0]
    key = rsa("one")
    key_server.keys, key_server.broken = [key], True
    verifier = TokenVerifier(None, JwksKeys(key_server.url, clock=lambda: now[0]))
    token = sign(CLAIMS, key, "RS256", kid="one")
    with pytest.raises(Unavailable):
        await verifier.verify(token)
    key_server.broken = False
    now[0] = 31.0
    await verifier.verify(token)
    key_server.broken = True
    now[0] = 700.0
    await verifier.verify(token)  # what was known goes on to count


# --- remembering ------------------------------------------------------------------------------


async def test_a_token_is_verified_once_and_not_past_its_end() -> None:
    now = [1000.0]
    seen: list[UUID] = []

    async def remember(caller: Caller) -> None:
        seen.append(caller.user_id)

    verifier = TokenVerifier(SECRET, clock=lambda: now[0])
    authenticator = Authenticator(verifier, remember, clock=lambda: now[0])
    start = datetime.fromtimestamp(now[0], UTC)
    token = token_for("alice", now=start, lifetime=timedelta(seconds=100).total_seconds())
    for _ in range(3):
        await authenticator._caller(token)
    assert len(seen) == 1
    now[0] = 1100.0 + 31
    with pytest.raises(Unauthenticated):
        await authenticator._caller(token)
