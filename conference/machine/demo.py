"""The demo meeting of `parley up`, made through the HTTP API as any client would make it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import aiohttp
import msgspec

from conference.tokens import issue, user_named

NAME = "Parley demo"
MODERATOR = "alice"
GUESTS = ("bob", "carol")

_LIFETIME = timedelta(days=7)
_TIMEOUT = aiohttp.ClientTimeout(total=20)


class DemoError(RuntimeError):
    """The API did not do as it should."""


class DemoMeeting(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What of a Meeting is needed here."""

    id: str
    name: str
    join_code: str


async def demo_links(api: str, shown: str, secret: str) -> dict[str, str]:
    """Who -> link into the demo meeting, which is made unless it is there. `api` is where it is asked,
    `shown` the address that the links begin with. Raises DemoError."""
    tokens = {name: _token(name, secret) for name in (MODERATOR, *GUESTS)}
    try:
        meeting = await _ensure_meeting(api, tokens[MODERATOR])
    except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
        raise DemoError(f"could not make the demo meeting: {error}") from error
    return {
        f"{name} (moderator)" if name == MODERATOR else name: (
            f"{shown}/join/{meeting.join_code}#token={token}"
        )
        for name, token in tokens.items()
    }


async def _ensure_meeting(api: str, token: str) -> DemoMeeting:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as http:
        async with http.get(f"{api}/meetings") as response:
            known = msgspec.json.decode(await _body(response), type=list[DemoMeeting])
        if meeting := _named_demo(known):
            return meeting
        wanted = {"name": NAME, "meetingType": "scheduled"}
        async with http.post(f"{api}/meetings", json=wanted) as response:
            return msgspec.json.decode(await _body(response), type=DemoMeeting)


def _named_demo(meetings: Sequence[DemoMeeting]) -> DemoMeeting | None:
    return next((meeting for meeting in meetings if meeting.name == NAME), None)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = await response.read()
    if response.status != 200:
        raise DemoError(f"{response.method} {response.url.path}: {response.status} {body[:200]!r}")
    return body


def _token(name: str, secret: str) -> str:
    now = datetime.now(UTC)
    return issue(secret, user=user_named(name), now=now, lifetime=_LIFETIME)
