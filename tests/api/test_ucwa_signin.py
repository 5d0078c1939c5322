"""Signing in: passwords, invitations to one meeting, and what tokens then open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from urllib.parse import urlencode
from uuid import uuid4

import asyncpg
import pytest
from rig_meetings import SECRET, Api, Json
from ucwa_rig import Answer, Program, request, running_ucwa

from conference import passwords
from conference.errors import TooManyRequests
from conference.storage import passwords as password_rows
from conference.storage import users
from conference.storage.users import User
from conference.tokens import TokenUser, issue, user_named
from conference.ucwa.applications.sign_in import Meetings, SignIn, _accounts

PASSWORD = "correct horse battery"
ANONYMOUS = "urn:microsoft.rtc:anonmeeting"


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_ucwa(database_url, redis_url, tmp_path) as api:
        yield api


@pytest.fixture
async def alice(pool: asyncpg.Pool) -> User:
    return await user_with_password(pool, "alice", "Alice@example.com")


async def user_with_password(pool: asyncpg.Pool, name: str, email: str) -> User:
    user = User(id=user_named(name).id, name=name.capitalize(), email=email, org="example")
    now = datetime.now(UTC)
    async with pool.acquire() as conn:
        await users.put(conn, user, now)
        await password_rows.put(conn, user.id, passwords.hashed(PASSWORD), now)
    return user


async def ask(api: Api, headers: dict[str, str] | None = None, **form: str) -> Answer:
    sent = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
    return await request(api, "POST", "/WebTicket/oauthtoken", sent, urlencode(form).encode())


async def sign_in(api: Api, username: str, password: str = PASSWORD) -> Answer:
    return await ask(api, grant_type="password", username=username, password=password)


@pytest.mark.parametrize(
    "username",
    ["alice", "ALICE", "alice@example.com", "sip:Alice@example.com", "EXAMPLE\\alice"],
)
async def test_a_password_gives_a_token(api: Api, alice: User, username: str) -> None:
    granted = await sign_in(api, username)
    assert granted.status == 200, granted
    assert granted.headers["Cache-Control"] == "no-store"
    assert granted.json["token_type"] == "Bearer"
    assert granted.json["expires_in"] == 28_800
    token = granted.json["access_token"]
    assert token.startswith("cwt=")
    program = Program(api, "alice", token)
    assert (await program.start()).status == 201
    row = await program.get(f"/users/{alice.id}")
    assert row.json == {"id": str(alice.id), "name": "Alice"}


async def test_the_id_in_a_sip_uri_names_a_user_too(api: Api, alice: User) -> None:
    assert (await sign_in(api, f"sip:{alice.id}@localhost")).status == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password", "username": "alice", "password": "wrong"}, "invalid_grant"),
        ({"grant_type": "password", "username": "bob", "password": PASSWORD}, "invalid_grant"),
        ({"grant_type": "password", "username": "x" * 400, "password": "y"}, "invalid_grant"),
        ({"grant_type": "password", "username": "alice"}, "invalid_request"),
        ({"grant_type": "password", "username": "a\0", "password": "y"}, "invalid_request"),
        ({"username": "alice", "password": PASSWORD}, "invalid_request"),
        ({"grant_type": "urn:microsoft.rtc:windows"}, "unsupported_grant_type"),
        ({"grant_type": ANONYMOUS, "password": "ABCDEFGH"}, "invalid_request"),
        (
            {"grant_type": ANONYMOUS, "password": "A", "ms_rtc_conferenceuri": "sip:a@b;x"},
            "invalid_grant",
        ),
    ],
)
async def test_what_gives_none(api: Api, alice: User, form: dict[str, str], error: str) -> None:
    refused = await ask(api, **form)
    assert (refused.status, refused.json["error"]) == (400, error)
    assert refused.json["error_description"]


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("application/json", b"{}"),
        ("application/x-www-form-urlencoded", b"grant_type=%ff"),
        ("application/x-www-form-urlencoded", b"\xff"),
        ("application/x-www-form-urlencoded", b"grant_type=password&grant_type=password"),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(30))),
        ("application/x-www-form-urlencoded", b""),
    ],
)
async def test_what_is_no_form(api: Api, content_type: str, data: bytes) -> None:
    refused = await request(
        api, "POST", "/WebTicket/oauthtoken", {"Content-Type": content_type}, data
    )
    assert (refused.status, refused.json["error"]) == (400, "invalid_request")


async def test_a_token_that_ran_out_does_not_keep_from_signing_in(api: Api, alice: User) -> None:
    old = {"Authorization": "Bearer cwt=over"}
    form = {"grant_type": "password", "username": "alice", "password": PASSWORD}
    assert (await ask(api, old, **form)).status == 200


async def test_an_address_that_two_users_have_signs_nobody_in(
    api: Api, alice: User, pool: asyncpg.Pool
) -> None:
    await user_with_password(pool, "carol", "alice@example.com")
    assert (await sign_in(api, "alice@example.com")).json["error"] == "invalid_grant"
    assert (await sign_in(api, "carol")).status == 200


@pytest.mark.parametrize("username", ["alice", "nobody"])
async def test_guessing_is_slowed(api: Api, alice: User, pool: asyncpg.Pool, username: str) -> None:
    for _ in range(5):
        assert (await sign_in(api, username, "wrong")).status == 400
    refused = await sign_in(api, username)
    assert (refused.status, refused.json["error"]) == (429, "slow_down")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    await pool.execute("update sign_in_tries set last_at = last_at - interval '2 minutes'")
    assert (await sign_in(api, username)).status == (200 if username == "alice" else 400)
    left = await pool.fetchval("select count(*) from sign_in_tries")
    assert left == (0 if username == "alice" else 2)  # from everywhere, and from here


async def test_other_ways_to_write_a_name_are_no_new_tries(api: Api, alice: User) -> None:
    number = str(alice.id)
    ways = [
        *("alice", "X\\alice", "X\\ alice", "ALICE\u00a0", number, number.upper()),
        *(number.replace("-", ""), f"{{{number}}}", f"urn:uuid:{number}", f"sip:{number}@1"),
        *(f"{number}@2", f"sip: {number}@3"),
    ]
    answers = [await sign_in(api, way, "wrong") for way in ways]
    assert [answer.status for answer in answers] == [400] * 5 + [429] * (len(ways) - 5)


async def test_who_guesses_elsewhere_keeps_nobody_out(
    api: Api, alice: User, pool: asyncpg.Pool
) -> None:
    """As one place alone may: as often as it is let, for an hour."""
    now = datetime.now(UTC) - timedelta(hours=1)
    elsewhere = SignIn(
        pool,
        cast("Meetings", None),
        SECRET,
        lifetime=timedelta(hours=1),
        anonymous_lifetime=timedelta(hours=1),
        now=lambda: now,
        new_id=uuid4,
    )
    tried = 0
    while now < datetime.now(UTC):
        try:
            await elsewhere._count_try(*_accounts("user", str(alice.id), "192.0.2.1"))
            tried += 1
        except TooManyRequests as error:
            now += timedelta(seconds=error.retry_after)
    assert 60 <= tried <= 80
    assert (await sign_in(api, "alice")).status == 200
    guess = _accounts("user", str(alice.id), "192.0.2.1")
    await elsewhere._count_try(*guess)
    with pytest.raises(TooManyRequests):  # that alice came says nothing of others
        await elsewhere._count_try(*guess)


async def test_an_accent_may_be_written_in_two_ways(api: Api, pool: asyncpg.Pool) -> None:
    user = User(id=user_named("ren\u00e9").id, name="Ren\u00e9", email="", org="")
    async with pool.acquire() as conn:
        await users.put(conn, user, datetime.now(UTC))
        await password_rows.put(
            conn, user.id, passwords.hashed("caf\u00e9 creme"), datetime.now(UTC)
        )
    assert (await sign_in(api, "rene\u0301", "cafe\u0301 creme")).status == 200


async def test_many_at_once_wait_for_no_more_than_some_seconds(api: Api, alice: User) -> None:
    answers = await asyncio.gather(*[sign_in(api, f"name-{n}", "wrong") for n in range(95)])
    statuses = {answer.status for answer in answers}
    assert statuses == {400, 429}
    assert (await sign_in(api, "alice")).status == 200


async def test_only_a_program_of_this_domain_may_ask(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """With the keys of an identity provider, tokens of our own would not count."""
    elsewhere = {"jwks_url": "http://127.0.0.1:9/keys", "jwt_secret": None}
    async with running_ucwa(database_url, redis_url, tmp_path, **elsewhere) as api:
        refused = await sign_in(api, "alice")
        assert (refused.status, refused.json["error"]) == (400, "unsupported_grant_type")
        assert "PARLEY_JWT_SECRET" in refused.json["error_description"]


# --- anonymous --------------------------------------------------------------------------------


async def schedule(api: Api, **inputs: Json) -> Json:
    """bob's online meeting."""
    bob = Program(api, "bob")
    await bob.start()
    created = await bob.post(
        await _link(bob, "onlineMeetings", "myOnlineMeetings"), {"subject": "open day", **inputs}
    )
    assert created.status == 201, created
    return created.json


async def _link(program: Program, *rels: str) -> str:
    return (await program.dashboard()).link(*rels)


async def invited(api: Api, meeting: Json, key: str | None = None) -> Answer:
    return await ask(
        api,
        grant_type=ANONYMOUS,
        password=key or meeting["onlineMeetingId"],
        ms_rtc_conferenceuri=meeting["onlineMeetingUri"],
    )


@pytest.mark.parametrize("level", ["Everyone", "SameEnterprise", "Locked"])
async def test_an_invitation_gives_a_token_for_one_meeting(api: Api, level: str) -> None:
    meeting = await schedule(api, accessLevel=level)
    for key in (None, meeting["onlineMeetingId"].lower(), meeting["conferenceId"]):
        granted = await invited(api, meeting, key)
        assert granted.status == 200, granted
        assert granted.json["expires_in"] == 3600
    guest = Program(api, "guest", granted.json["access_token"])
    assert (await guest.start()).status == 201
    application = await guest.dashboard()
    link = application.link("communication", "joinOnlineMeeting")
    joined = await guest.post(
        link,
        {
            "onlineMeetingUri": meeting["onlineMeetingUri"],
            "operationId": "1",
            "anonymousDisplayName": "Guest",
        },
    )
    assert joined.status == 201, joined


async def test_a_wrong_key_gives_none(api: Api) -> None:
    meeting = await schedule(api)
    refused = await invited(api, meeting, "WRONGKEY")
    assert (refused.status, refused.json["error"]) == (400, "invalid_grant")


async def test_a_guest_goes_on_as_the_same_one(api: Api) -> None:
    meeting, other = await schedule(api), await schedule(api)
    former = (await invited(api, meeting)).json["access_token"]
    guest = Program(api, "guest", former)
    application = (await guest.start()).href

    async def renew(of: Json, value: str, authorization: str | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {authorization}"} if authorization else None
        return await ask(
            api,
            headers,
            grant_type=ANONYMOUS,
            password=of["onlineMeetingId"],
            ms_rtc_conferenceuri=of["onlineMeetingUri"],
            ms_rtc_renew=value,
        )

    plain = former.removeprefix("cwt=")
    for value, authorization in ((former, None), (plain, None), ("true", former), ("", former)):
        granted = await renew(meeting, value, authorization)
        assert (granted.status, granted.json["expires_in"]) == (200, 3600)
        again = Program(api, "guest", granted.json["access_token"])
        assert (await again.get(application)).status == 200, "another guest would not find it"
    alice = Program(api, "alice").token
    for of, value in ((other, former), (meeting, "true"), (meeting, "x.y.z"), (meeting, alice)):
        refused = await renew(of, value)
        assert (refused.status, refused.json["error"]) == (400, "invalid_grant"), value
    anew = Program(api, "guest", (await invited(api, meeting)).json["access_token"])
    assert (await anew.get(application)).status == 404


async def test_a_guest_stays_within_the_meeting(api: Api) -> None:
    meeting, other = await schedule(api), await schedule(api)
    guest = Program(api, "guest", (await invited(api, meeting)).json["access_token"])
    await guest.start()
    for method, path in (
        ("GET", "/meetings"),
        ("POST", "/meetings"),
        ("POST", "/channels"),
        ("GET", f"/users/{uuid4()}"),
        ("GET", f"/meetings/{uuid4()}/queue"),
        ("PUT", f"/meetings/{uuid4()}/media"),
    ):
        refused = await guest.call(method, path)
        assert (refused.status, refused.json["code"]) == (403, "AnonymousNotAllowed"), path
    application = await guest.dashboard()
    refused = await guest.post(
        application.link("communication", "joinOnlineMeeting"),
        {
            "onlineMeetingUri": other["onlineMeetingUri"],
            "operationId": "1",
            "anonymousDisplayName": "Guest",
        },
    )
    assert (refused.status, refused.json["code"]) == (403, "Forbidden")
    for address in ("onlineMeetings/myOnlineMeetings", "people/search?query=bob"):
        refused = await guest.get(f"{guest.application}/{address}")
        assert (refused.status, refused.subcode) == (403, "AnonymousNotAllowed"), address


async def test_a_guests_own_media_is_open(api: Api) -> None:
    """As far as the token: whether they are in the meeting is looked at behind it."""
    meeting = uuid4()
    token = issue(
        SECRET,
        user=TokenUser(id=uuid4(), name="", email=""),
        now=datetime.now(UTC),
        lifetime=timedelta(minutes=1),
        meeting=meeting,
    )
    guest = Program(api, "guest", token)
    for path in ("media", "media/answer", "media/subscribe", "audio", "audio/offer"):
        answer = await guest.call("PUT", f"/meetings/{meeting}/{path}", headers={}, data=b"{}")
        assert answer.status in (400, 404), path
    assert (await guest.get(f"/meetings/{meeting}")).status == 403
    assert (await guest.get(f"/meetings/{meeting}/../{uuid4()}")).status in (403, 404)
