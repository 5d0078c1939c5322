"""People over UCWA: programs that publish, list and watch each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from rig_meetings import SECRET, Api, Json
from ucwa_rig import Answer, Program

from conference.tokens import issue, user_named

QUICK = {
    "ucwa_hold_medium": 0.05,
    "ucwa_hold_low": 0.05,
    "ucwa_poll_timeout": 0.3,
    "sweep_interval": 0.05,
}
"""Settings with which a test need not wait for events that are held."""


async def started(api: Api, name: str, org: str = "", **how: Any) -> Program:
    program = Program(api, name, token_of(name, org), **how)
    await program.start()
    return program


def token_of(name: str, org: str) -> str:
    return issue(
        SECRET,
        user=user_named(name, org=org),
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
    )


async def available(program: Program, **wishes: Json) -> None:
    """makeMeAvailable, and the events that it brings are read."""
    me = await program.follow("me", "self")
    assert (await program.post(me.link("makeMeAvailable"), wishes)).status == 204
    await program.events()


async def publish(program: Program, rel: str, **given: Json) -> None:
    me = await program.follow("me", "self")
    assert (await program.post(me.link(rel), given)).status == 204


def many(found: Answer | Json, rel: str) -> list[Json]:
    """What is embedded or linked; XML does not tell one from several."""
    inside = found.json if isinstance(found, Answer) else found
    value = inside.get("_embedded", {}).get(rel) or inside["_links"].get(rel, [])
    return value if isinstance(value, list) else [value]


def uris(found: Answer) -> list[str]:
    return [each["uri"] for each in many(found, "contact")]


def where(event: Json) -> str:
    """The end of the address of what it is about."""
    return str(event["link"]["href"]).split("/people/")[-1]


async def contact(program: Program, address: str) -> Answer:
    people = await program.follow("people", "self")
    return await program.get(f"{people.href}/{address}")


async def follow_list(program: Program) -> str:
    """Begin to be told of the contact list; the subscription's address."""
    found = await program.follow("people", "myContactsAndGroupsSubscription")
    begun = await program.post(
        found.link("startOrRefreshSubscriptionToContactsAndGroups"), {"duration": 30}
    )
    assert begun.status == 201, begun
    assert begun.json["state"] == "Connected"
    return begun.href


async def expire(database_url: str, table: str, time: timedelta) -> None:
    """As if so much more time had gone by."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(f"update {table} set expires_at = expires_at - $1::interval", time)
    finally:
        await connection.close()


async def subscribe(program: Program, *addresses: str, duration: Json = 15) -> Answer:
    subscriptions = (await program.dashboard()).link("people", "presenceSubscriptions")
    wanted = {"uris": [f"sip:{each}" for each in addresses], "duration": duration}
    created = await program.post(subscriptions, wanted)
    assert created.status == 201, created
    return created
