"""People meet in Chromium, through the whole system: what everybody does in every meeting."""

from __future__ import annotations

import re

import pytest
from browser_rig import PATIENCE, Host, Meeting, admit, until
from playwright.async_api import expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(240),
]


async def test_two_people_meet_through_the_waiting_room(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    bob = await host.invite("bob", meeting)
    await alice.enter()
    await admit(alice, bob)
    await alice.sees(bob)
    await bob.sees(alice)
    await alice.hears()
    await bob.hears()
    assert await alice.faces() == ["Alice (you)", "Bob"]
    assert await bob.faces() == ["Alice", "Bob (you)"]
    await expect(bob.page.locator("[data-connection]")).to_have_text("Connected")
    # The fake microphone beeps: its owner's tile is ringed on the other side.
    await expect(alice.page.locator(f"{alice.tile(bob)}.talking")).to_be_visible()
    await alice.shot("two-people")
    assert alice.errors == bob.errors == []


async def test_a_token_does_not_stay_in_the_address(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    await alice.open()
    assert alice.page.url == f"{host.parley.address}/join/{meeting.code}"


async def test_screen_appears_and_disappears(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    bob = await host.invite("bob", meeting)
    await alice.enter()
    await admit(alice, bob)
    await alice.sees(bob)
    await bob.press("screen")
    await expect(alice.page.locator(alice.tile(bob, "screen"))).to_be_visible()
    await alice.sees(bob, "screen")
    await alice.sees(bob)
    await alice.shot("screen-share")
    await bob.press("screen")
    await expect(alice.page.locator(alice.tile(bob, "screen"))).to_have_count(0)
    await alice.sees(bob)
    assert alice.errors == bob.errors == []


async def test_camera_off_and_on_again(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    bob = await host.invite("bob", meeting)
    await alice.enter()
    await admit(alice, bob)
    await alice.sees(bob)
    picture = alice.page.locator(f"{alice.tile(bob)} video")
    for _ in range(2):
        await bob.press("camera")
        await expect(picture).to_be_hidden()
        await expect(alice.page.locator(f"{alice.tile(bob)} .avatar")).to_have_text("B")
        await bob.press("camera")
        await expect(picture).to_be_visible()
        await alice.sees(bob)
    assert alice.errors == bob.errors == []


async def test_moderator_mute_stops_the_packets(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    bob = await host.invite("bob", meeting)
    await alice.enter()
    await admit(alice, bob)
    await alice.hears()
    await alice.press("people")
    await alice.page.click("button[aria-label='Mute Bob']")
    await expect(bob.page.locator("[data-tool=mic]")).to_have_attribute("aria-pressed", "false")
    await expect(bob.page.get_by_text("Alice muted your microphone")).to_be_visible()
    # Not only the client: with its track on again behind the server's back, nothing comes through.
    await bob.page.evaluate("() => { parley.meeting.microphone.enabled = true }")

    async def silent() -> bool:
        before, _ = await alice.heard()
        sent = await bob.until(_SENT_MORE, await bob.page.evaluate(_SENT))
        after, _ = await alice.heard()
        return sent and after == before

    await until(silent, "bob sends and alice receives nothing", PATIENCE)
    await expect(alice.page.locator("button[aria-label='Mute Bob']")).to_have_count(0)
    await bob.press("mic")
    await alice.hears()
    assert alice.errors == bob.errors == []


_SENT = """async () => (await parley.meeting.figures()).lines
    .find((line) => line.direction === 'out' && line.media === 'audio').packets"""
_SENT_MORE = f"async (before) => (await ({_SENT})()) > before + 25"


async def test_leaving_updates_the_grid(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    bob = await host.invite("bob", meeting)
    await alice.enter()
    await admit(alice, bob)
    await alice.sees(bob)
    await bob.press("leave")
    await expect(bob.page.get_by_role("heading", name="You left the meeting")).to_be_visible()
    await expect(alice.page.locator(alice.tile(bob))).to_have_count(0)
    assert await alice.faces() == ["Alice (you)"]
    assert list(await meeting.participants()) == [alice.user_id]
    # Camera and microphone are let go.
    assert await bob.page.evaluate("() => parley.meeting.microphone?.readyState") == "ended"


async def test_a_moderator_turns_somebody_away(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    bob = await host.invite("bob", meeting)
    await alice.enter()
    await bob.open()
    await bob.knock()
    await bob.page.wait_for_selector("text=Waiting to be let in")
    await bob.shot("waiting")
    await alice.page.click(".toast button:has-text('Reject')")
    await expect(bob.page.get_by_role("heading", name="You were not let in")).to_be_visible()
    assert await alice.faces() == ["Alice (you)"]


async def test_who_waited_before_the_moderator_came_is_listed(host: Host, meeting: Meeting) -> None:
    bob = await host.invite("bob", meeting)
    carol = await host.invite("carol", meeting)
    for guest in (bob, carol):
        await guest.open()
        await guest.knock()
        await guest.page.wait_for_selector("text=Waiting to be let in")
    alice = await host.invite("alice", meeting)
    await alice.enter()
    await alice.page.click(".toast button:has-text('See who')")
    waiting = alice.page.locator(".waiting-list")
    await expect(waiting.get_by_text("Bob")).to_be_visible()
    await expect(waiting.get_by_text("Carol")).to_be_visible()
    await alice.shot("waiting-list")
    await alice.page.click("text=Admit all")
    for guest in (bob, carol):
        await guest.page.wait_for_selector(".room")
    for person in (alice, bob, carol):
        await expect(person.page.locator('.tile[data-kind="video"]')).to_have_count(3)
    for one, other in ((alice, bob), (bob, carol), (carol, alice)):
        await one.sees(other)
    await alice.page.keyboard.press("i")
    await expect(alice.page.locator(".figure .plot")).not_to_have_count(0)
    rates = alice.page.locator(".figure[data-direction=in] .title span:last-child")
    await expect(rates.last).to_have_text(re.compile(r"[1-9]\d* kbit/s|Mbit/s"))
    await alice.shot("three-people-statistics")
    await alice.page.keyboard.press("Escape")
    await bob.page.set_viewport_size({"width": 390, "height": 780})
    await expect(bob.page.locator(bob.tile(carol))).to_be_in_viewport(ratio=1)
    await expect(bob.page.locator("[data-tool=leave]")).to_be_in_viewport(ratio=1)
    await bob.shot("phone")
    # The moderator ends it for everybody.
    await alice.page.keyboard.press("p")
    await alice.page.click("text=End meeting for everybody")
    await alice.page.click("dialog .danger")
    for person in (alice, bob, carol):
        heading = person.page.get_by_role("heading", name="The meeting has ended")
        await expect(heading).to_be_visible()
    assert alice.errors == bob.errors == carol.errors == []
