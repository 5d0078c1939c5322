"""RedisLane: many tasks on one connection to a real Valkey."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable

import pytest
from channel_rig import SOON, until

from conference.bus.link import RedisLink
from conference.bus.redis import CommandRefused, RedisLane
from conference.bus.subscriber import Subscriber
from conference.errors import Unavailable
from conference.machine.embedded import ValkeyServer


@pytest.fixture
async def lane(redis_url: str) -> AsyncIterator[RedisLane]:
    lane = RedisLane(redis_url)
    lane.start()
    yield lane
    await lane.close()


async def test_every_caller_gets_its_own_reply(lane: RedisLane) -> None:
    calls = [lane.call(b"ECHO", b"%d" % number) for number in range(2500)]
    assert await asyncio.gather(*calls) == [b"%d" % number for number in range(2500)]


async def test_commands_run_in_the_order_in_which_they_were_issued(lane: RedisLane) -> None:
    for number in range(2500):
        lane.submit(b"RPUSH", b"list", number)
    assert await lane.call(b"LRANGE", b"list", 0, -1) == [b"%d" % number for number in range(2500)]


async def test_a_refused_command_is_its_callers_alone(lane: RedisLane) -> None:
    before, refused, after = (
        lane.submit(b"ECHO", b"a"),
        lane.submit(b"NONSENSE"),
        lane.submit(b"ECHO", b"b"),
    )
    with pytest.raises(CommandRefused, match="unknown command"):
        await refused
    assert (await before, await after) == (b"a", b"b")


async def test_a_caller_that_gives_up_does_not_shift_the_replies(lane: RedisLane) -> None:
    given_up = asyncio.create_task(lane.call(b"ECHO", b"a"))
    kept = asyncio.create_task(lane.call(b"ECHO", b"b"))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await kept == b"b"
    assert await lane.call(b"ECHO", b"c") == b"c"


async def test_closing_fails_what_waits_and_what_comes_later(
    private_valkey: Callable[[], ValkeyServer],
) -> None:
    server = private_valkey()
    lane = RedisLane(server.url, timeout=60)
    lane.start()
    await lane.call(b"PING")
    assert server.pid
    os.kill(server.pid, signal.SIGSTOP)
    try:
        waiting = lane.submit(b"PING")
        await asyncio.sleep(0.05)  # so that it is on its way, where it can
        await asyncio.wait_for(lane.close(), SOON)
        for future in (waiting, lane.submit(b"PING")):
            with pytest.raises(Unavailable):
                await asyncio.wait_for(future, SOON)
    finally:
        os.kill(server.pid, signal.SIGCONT)


async def test_a_server_that_is_not_there_is_told_at_once_and_found_later(
    private_valkey: Callable[[], ValkeyServer],
) -> None:
    server = private_valkey()
    server.stop()
    lane = RedisLane(server.url)
    lane.start()
    begun = time.monotonic()
    for _ in range(20):
        with pytest.raises(Unavailable):
            await lane.call(b"PING")
    assert time.monotonic() - begun < SOON
    server.start()
    await until(lambda: _pongs(lane))
    await lane.close()


async def test_a_restart_between_commands_costs_no_command(
    private_valkey: Callable[[], ValkeyServer],
) -> None:
    server = private_valkey()
    lane = RedisLane(server.url)
    lane.start()
    await lane.call(b"PING")
    server.stop()
    server.start()
    assert lane._connection
    await until(
        lane._connection.can_read
    )  # the loop has seen the end, as one that was not stopped has
    assert await lane.call(b"PING") == b"PONG"
    await lane.close()


async def test_a_handler_that_fails_does_not_end_the_subscription(redis_url: str) -> None:
    heard: list[bytes] = []

    def handle(data: bytes) -> None:
        if data == b"bad":
            raise ValueError
        heard.append(data)

    link = RedisLink(redis_url)
    link.subscriber.subscribe("channel", handle)
    link.start()
    await link.subscriber.ready()
    for message in (b"bad", b"good"):
        await link.lane.call(b"PUBLISH", b"channel", message)

    async def heard_it() -> bool:
        return heard == [b"good"]

    await until(heard_it)
    await link.close()


async def test_a_silent_server_loses_the_subscription(
    private_valkey: Callable[[], ValkeyServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, not gone: no connection breaks, so only the missing pongs tell."""
    monkeypatch.setattr("conference.bus.subscriber._PING_INTERVAL", 0.2)
    server = private_valkey()
    lost = asyncio.Event()
    subscriber = Subscriber(server.url)
    subscriber.subscribe("channel", lambda _: None, on_lost=lost.set)
    subscriber.start()
    await subscriber.ready()
    assert server.pid
    os.kill(server.pid, signal.SIGSTOP)
    try:
        await asyncio.wait_for(lost.wait(), SOON)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await subscriber.ready(SOON)
    await subscriber.close()


async def _pongs(lane: RedisLane) -> bool:
    try:
        return await lane.call(b"PING") == b"PONG"
    except Unavailable:
        return False
