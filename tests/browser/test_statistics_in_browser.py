"""The figures of streams, and the panel that shows them: by tables, and against the browser's own counters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from browser_rig import Host, Meeting, Parley, admit, until
from playwright.async_api import Browser, Page, expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(240),
]

Json = dict[str, Any]


@pytest_asyncio.fixture(loop_scope="session")
async def page(parley: Parley, browser: Browser) -> AsyncIterator[Page]:
    """Any page of Parley's, to run its modules in."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{parley.address}/")
    yield page
    await context.close()


_READ = """async (readings) => {
    const { Meter } = await import('/web/js/parley/stats.js');
    const meter = new Meter();
    const streams = new Map([['bob/video', { getTracks: () => [{ id: 'track of bob' }] }]]);
    const made = [];
    for (const { connections } of readings) {
        const pcs = new Map(Object.entries(connections).map(([name, entries]) => [name, entries && {
            connectionState: entries.state ?? 'connected',
            getStats: async () => new Map((entries.list ?? entries).map((entry) => [entry.id, entry])),
        }]));
        made.push(await meter.read(pcs, streams));
    }
    return made;
}"""


async def figures(page: Page, *readings: Json) -> list[Json]:
    found: list[Json] = await page.evaluate(
        _READ, [{"connections": connections} for connections in readings]
    )
    return found


def inbound(at: int, size: int, packets: int, lost: int = 0, **more: object) -> Json:
    return {
        "id": "in",
        "type": "inbound-rtp",
        "kind": "video",
        "mid": "0",
        "timestamp": at,
        "bytesReceived": size,
        "packetsReceived": packets,
        "packetsLost": lost,
        "trackIdentifier": "track of bob",
        **more,
    }


@pytest.mark.parametrize(
    ("before", "after", "bitrate", "loss"),
    [
        (inbound(0, 0, 0), inbound(1000, 50_000, 100), 400_000, 0),
        (inbound(0, 1000, 10), inbound(2000, 51_000, 109, 1), 200_000, 0.01),
        (inbound(0, 0, 0, 5), inbound(1000, 0, 0, 15), 0, 1),
        (inbound(0, 0, 10, 5), inbound(1000, 0, 10, 5), 0, 0),
        # The count of what was lost goes back when packets come late (RFC 3550, 6.4.1).
        (inbound(0, 0, 0, 5), inbound(1000, 0, 10, 3), 0, 0),
        (inbound(500, 0, 0), inbound(500, 9000, 9), 0, 0),
    ],
)
async def test_rates_are_differences(
    page: Page, before: Json, after: Json, bitrate: float, loss: float
) -> None:
    first, second = await figures(page, {"inbound": [before]}, {"inbound": [after]})
    assert (first["lines"][0]["bitrate"], first["lines"][0]["loss"]) == (0, 0)
    (line,) = second["lines"]
    assert (line["bitrate"], line["loss"]) == (pytest.approx(bitrate), pytest.approx(loss))
    assert (line["direction"], line["media"], line["source"]) == ("in", "video", "bob/video")


async def test_what_is_sent_is_lost_by_the_other_sides_count(page: Page) -> None:
    def sent(at: int, packets: int, lost: int) -> list[Json]:
        out = {"id": "out", "type": "outbound-rtp", "kind": "audio", "timestamp": at}
        out |= {"bytesSent": packets * 100, "packetsSent": packets, "remoteId": "report"}
        return [out, {"id": "report", "type": "remote-inbound-rtp", "packetsLost": lost}]

    _, second = await figures(page, {"audio": sent(0, 0, 0)}, {"audio": sent(1000, 90, 10)})
    (line,) = second["lines"]
    assert (line["direction"], line["source"]) == ("out", "audio")
    assert (line["bitrate"], line["loss"]) == (72_000, 0.1)


async def test_what_does_not_count_is_left_out(page: Page) -> None:
    pairs = [
        {"id": "p1", "type": "candidate-pair", "nominated": True, "currentRoundTripTime": 0.02},
        {"id": "p2", "type": "candidate-pair", "nominated": False, "currentRoundTripTime": 0.9},
    ]
    slow = [{"id": "p3", "type": "candidate-pair", "nominated": True, "currentRoundTripTime": 0.07}]
    unmapped = {**inbound(0, 1, 1), "mid": None, "id": "no m-line"}
    del unmapped["mid"]
    (found,) = await figures(
        page,
        {
            "audio": pairs,
            "video": {"state": "closed", "list": [inbound(0, 1, 1)]},
            "screen": None,
            "inbound": [*slow, unmapped, {"id": "c", "type": "codec"}],
        },
    )
    assert found["lines"] == []
    assert found["roundTrip"] == 0.07, "the slowest of those in use"


async def test_a_stream_that_begins_anew_has_no_rate_yet(page: Page) -> None:
    _, second = await figures(
        page,
        {"inbound": [inbound(0, 90_000, 90)]},
        {"inbound": [inbound(1000, 500, 5) | {"id": "another"}]},
    )
    assert second["lines"][0]["bitrate"] == 0


# --- the panel --------------------------------------------------------------------------------

_PANEL = """async (readings) => {
    const { statsPanel } = await import('/web/js/ui/stats_panel.js');
    const names = { of: (id) => ({ bob: 'Bob', carol: 'Carol' })[id] };
    let reading;
    const panel = statsPanel({ figures: async () => reading }, names);
    for (reading of readings) await panel.update();
    const text = (element, selector) => element.querySelector(selector)?.textContent ?? '';
    return {
        roundTrip: text(panel.element, 'p'),
        rows: [...panel.element.querySelectorAll('.figure')].map((row) => ({
            title: text(row, '.title span'),
            rate: text(row, '.title span:last-child'),
            facts: [...row.querySelectorAll('dl div')].map((each) => each.textContent),
            bad: row.querySelectorAll('.bad').length,
            points: row.querySelector('polyline').getAttribute('points').split(' ').length,
            losses: row.querySelectorAll('rect').length,
        })),
    };
}"""


def line(name: str, direction: str, media: str, source: str, **more: object) -> Json:
    base = {"id": name, "direction": direction, "media": media, "source": source}
    return base | {"bitrate": 0, "loss": 0, "packets": 1, **more}


async def test_the_panel_names_orders_and_rounds(page: Page) -> None:
    lines = [
        line("1", "in", "audio", "audio", bitrate=24_400, loss=0.004),
        line("2", "in", "video", "carol/screen", bitrate=999_999, loss=0.5),
        line(
            "3",
            "in",
            "video",
            "bob/video",
            bitrate=1_540_000,
            width=640,
            height=360,
            frameRate=14.6,
        ),
        line("4", "out", "audio", "audio", loss=0.02),
        line("5", "out", "video", "screen", loss=0.021),
        line("6", "out", "video", "video"),
        line("7", "in", "audio", "audio", packets=0),
    ]
    shown = await page.evaluate(_PANEL, [{"lines": lines, "roundTrip": 0.0124}])
    assert shown["roundTrip"] == "Round trip to the media server: 12 ms"
    assert [(row["title"], row["rate"], row["facts"], row["bad"]) for row in shown["rows"]] == [
        ("Your screen", "0 kbit/s", ["Loss2.1 %"], 1),
        ("Your camera", "0 kbit/s", ["Loss0 %"], 0),
        ("Your microphone", "0 kbit/s", ["Loss2.0 %"], 0),
        ("Carol’s screen", "1000 kbit/s", ["Loss50 %"], 1),
        ("Bob", "1.5 Mbit/s", ["Loss0 %", "Picture640 × 360", "Rate15 /s"], 0),
        ("Sound of a speaker", "24 kbit/s", ["Loss0.4 %"], 0),
    ]


async def test_the_panel_keeps_a_minute_of_what_is_there(page: Page) -> None:
    first = {"lines": [line("1", "out", "video", "video", loss=0.1)], "roundTrip": None}
    both = {"lines": [*first["lines"], line("2", "in", "audio", "audio")]}
    gone = {"lines": [line("2", "in", "audio", "audio")]}
    shown = await page.evaluate(_PANEL, [first] * 70)
    assert shown["rows"][0]["points"] == shown["rows"][0]["losses"] == 60
    shown = await page.evaluate(_PANEL, [both, gone, both])
    assert [row["points"] for row in shown["rows"]] == [1, 3], "what went begins anew"
    assert shown["roundTrip"] == "Round trip to the media server: –"


async def test_the_panel_agrees_with_the_browsers_own_counters(
    host: Host, meeting: Meeting
) -> None:
    alice = await host.invite("alice", meeting)
    bob = await host.invite("bob", meeting)
    await alice.page.add_init_script(_KEEP_CONNECTIONS)
    await alice.enter()
    await admit(alice, bob)
    await alice.sees(bob, more=30)
    await alice.press("stats")
    shown = alice.page.locator(f".figure[data-source='{bob.user_id}/video']")
    await expect(shown.locator(".title span").first).to_have_text("Bob")

    async def agrees() -> bool:
        """The second in which the panel measures is not ours, and a key frame weighs much: within a third."""
        counted = await alice.page.evaluate(_BITRATE)
        rate, unit = (await shown.locator(".title span").last.inner_text()).split(" ")
        there = float(rate) * (1e6 if unit == "Mbit/s" else 1e3)
        return bool(counted) and 0.67 < there / counted < 1.5

    await until(agrees, "the panel agrees with getStats", 45)
    size = await alice.page.evaluate(_SIZE, alice.tile(bob))
    await expect(shown).to_contain_text(size)
    await alice.press("stats")
    await expect(alice.page.locator(".figure").first).to_be_hidden()
    assert alice.errors == []


_KEEP_CONNECTIONS = """
    globalThis.made = [];
    globalThis.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(...options) { super(...options); made.push(this); }
    };
"""
_BITRATE = """async () => {
    const count = async () => {
        let bytes = 0;
        for (const pc of made) for (const each of (await pc.getStats()).values()) {
            if (each.type === 'inbound-rtp' && each.kind === 'video') bytes += each.bytesReceived;
        }
        return bytes;
    };
    const [before, begun] = [await count(), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return (8000 * ((await count()) - before)) / (performance.now() - begun);
}"""
_SIZE = """(tile) => {
    const { videoWidth, videoHeight } = document.querySelector(`${tile} video`);
    return `${videoWidth} × ${videoHeight}`;
}"""
