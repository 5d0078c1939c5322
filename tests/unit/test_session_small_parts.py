"""Addresses announced, load measured, work ticked, tasks ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from config.tasks import end
from sfu.guard import Guard
from sfu.transport import addresses
from sfu.transport.addresses import bind
from sfu.worker import ticker as ticker_module
from sfu.worker.load import Load
from sfu.worker.ticker import IDLE_AFTER_US, Ticker


@pytest.mark.parametrize(
    ("host", "configured", "expected"),
    [
        ("127.0.0.1", [], ["127.0.0.1"]),
        ("0.0.0.0", ["203.0.113.5", " 2001:db8::5"], ["203.0.113.5", "2001:db8::5"]),
        ("0.0.0.0", [], ["192.0.2.8", "127.0.0.1"]),
        ("::", [], ["192.0.2.8", "2001:db8::8", "127.0.0.1"]),
        ("::1", [], ["::1"]),
    ],
)
def test_announced_addresses(
    monkeypatch: pytest.MonkeyPatch, host: str, configured: list[str], expected: list[str]
) -> None:
    def own(*, use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return ["192.0.2.8"] * use_ipv4 + ["2001:db8::8"] * use_ipv6

    monkeypatch.setattr(addresses, "get_host_addresses", own)
    found = addresses.announced(host, 7882, configured)
    assert found == [(item, 7882) for item in expected]


def test_a_name_is_no_address() -> None:
    with pytest.raises(ValueError, match=r"media\.example"):
        addresses.announced("0.0.0.0", 1, ["media.example"])


def test_the_load_is_the_share_of_the_last_seconds() -> None:
    wall, cpu = 0.0, 0.0
    load = Load(lambda: wall, lambda: cpu)
    assert load.look() == 0
    for _ in range(10):
        wall, cpu = wall + 1, cpu + 0.5
        assert load.look() == pytest.approx(0.5)
    for _ in range(10):
        wall += 1
        share = load.look()
    assert share == 0
    wall, cpu = wall + 1, cpu + 50
    assert load.look() == 1


async def test_ticks_go_on_when_one_piece_of_work_fails() -> None:
    now = 0
    called: list[str] = []

    def broken(_: int) -> None:
        nonlocal now
        now += 20_000
        called.append("broken")
        raise RuntimeError("always")

    guard = Guard()
    ticker = Ticker(lambda: now, guard)
    ticker.every(0.02, broken)
    ticker.every(0.1, lambda _: called.append("slow"))
    task = asyncio.create_task(ticker.run())
    async with asyncio.timeout(5):
        while called.count("slow") < 3:
            await asyncio.sleep(0.01)
    await end([task])
    assert called.count("broken") >= 10
    assert guard.counters["tick_failed"] == called.count("broken")


async def test_steps_are_short_only_while_there_is_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticker_module, "IDLE_STEP", 3600)
    now = 10 * IDLE_AFTER_US
    ticked = asyncio.Event()
    ticker = Ticker(lambda: now, Guard())
    ticker.every(0, lambda _: ticked.set())
    task = asyncio.create_task(ticker.run())

    async def ticks() -> bool:
        ticked.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(5 * ticker_module.STEP):
                await ticked.wait()
        return ticked.is_set()

    assert not await ticks(), "nobody is in a hurry"
    ticker.hurry()
    async with asyncio.timeout(5):
        await ticked.wait()
    now += IDLE_AFTER_US - 1
    ticked.clear()
    async with asyncio.timeout(5):
        await ticked.wait()
    now += 1
    await ticks()
    assert not await ticks(), "a second has passed"
    await end([task])


async def test_tasks_that_swallow_a_cancellation_end_all_the_same() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed >= 3:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end([task])
    assert task.cancelled()


async def test_who_ends_tasks_can_be_cancelled_and_ends_them_first() -> None:
    release = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await release.wait()

    task = asyncio.create_task(slow())
    await asyncio.sleep(0)
    ending = asyncio.create_task(end([task]))
    await asyncio.sleep(0.01)
    ending.cancel()
    await asyncio.sleep(0.01)
    assert not ending.done()
    release.set()
    async with asyncio.timeout(5):
        await asyncio.wait([ending])
    assert ending.cancelled()
    assert task.done()


def test_sockets() -> None:
    four, six = bind("127.0.0.1", 0), bind("::", 0)
    try:
        assert four.getsockname()[1] > 0
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", four.getsockname()[1])
    finally:
        four.close()
        six.close()
