"""What happens to somebody is told to them in words, and pages follow what happens elsewhere."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from typing import Any
from uuid import UUID

import pytest
from browser_rig import Host, Meeting, Person, admit
from playwright.async_api import expect

from conference.tokens import user_id_for
from schemas import sfu

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(240),
]


async def heading(person: Person, text: str) -> None:
    await expect(person.page.get_by_role("heading", name=text)).to_be_visible()


async def call(meeting: Meeting, method: str, path: str, **more: Any) -> None:
    url = f"/meetings/{meeting.id}{path}"
    async with meeting.http.request(method, url, headers=meeting.headers, **more) as response:
        assert response.status in (200, 204), await response.text()


async def test_a_moderator_mutes_all_makes_another_one_and_removes_somebody(
    host: Host, meeting: Meeting
) -> None:
    alice, bob, carol = [await host.invite(name, meeting) for name in ("alice", "bob", "carol")]
    await alice.enter()
    await admit(alice, bob)
    await admit(alice, carol)
    for guest in (bob, carol):  # whose microphone opens later is not muted by it
        await expect(alice.page.locator(alice.tile(guest))).to_have_attribute(
            "aria-label", re.compile("microphone on")
        )
    await alice.press("people")
    await alice.page.get_by_role("button", name="Mute all").click()
    for guest in (bob, carol):
        await expect(guest.page.locator("[data-tool=mic]")).to_have_attribute(
            "aria-pressed", "false"
        )
    await expect(alice.page.locator("[data-tool=mic]")).to_have_attribute("aria-pressed", "true")
    await expect(alice.page.get_by_role("button", name="Mute all")).to_be_disabled()
    await bob.press("people")
    await expect(bob.page.get_by_role("button", name="More about Carol")).to_have_count(0)
    await alice.page.get_by_role("button", name="More about Bob").click()
    await alice.page.get_by_role("button", name="Make moderator: Bob").click()
    await expect(bob.page.get_by_text("You are a moderator now")).to_be_visible()
    await bob.page.get_by_role("button", name="More about Carol").click()
    await bob.page.get_by_role("button", name="Remove: Carol").click()
    await bob.page.locator("dialog .danger").click()
    await heading(carol, "You were taken out of the meeting")
    await expect(carol.page.get_by_text("The moderator Bob did that")).to_be_visible()
    await expect(alice.page.locator(alice.tile(carol))).to_have_count(0)
    # She asks again: both moderators hear it, and nobody comes back by having been in once.
    await carol.page.get_by_role("button", name="Ask to come back").click()
    await carol.knock()
    await heading(carol, "Waiting to be let in")
    for moderator in (alice, bob):
        await expect(moderator.page.locator(".waiting-list")).to_contain_text("Carol")
    await alice.page.get_by_role("button", name="Take moderator’s rights: Bob").click()
    await expect(bob.page.get_by_text("You are no moderator any more")).to_be_visible()
    await expect(bob.page.locator(".waiting-list")).to_have_count(0)
    assert alice.errors == bob.errors == carol.errors == []


async def test_who_waits_hears_whether_a_moderator_is_there_and_how_it_ended(
    host: Host, meeting: Meeting
) -> None:
    alice, bob, carol = [await host.invite(name, meeting) for name in ("alice", "bob", "carol")]
    await alice.enter()
    await admit(alice, bob)
    await carol.open()
    await carol.knock()
    told = carol.page.get_by_text("has been told that you are here")
    nobody = carol.page.get_by_text("is in the meeting right now")
    await expect(told).to_be_visible()
    await alice.press("leave")
    await expect(nobody).to_be_visible()
    await expect(bob.page.get_by_text("The last moderator has left")).to_be_visible()
    await alice.page.get_by_role("button", name="Join again").click()
    await alice.knock()
    await expect(told).to_be_visible()
    await alice.press("leave")
    await bob.press("leave")
    await expect(carol.page.get_by_text("left before you were let in")).to_be_visible()


async def test_closing_a_tab_is_told_and_the_admission_stays(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    bob = await host.invite("bob", meeting)
    await alice.enter()
    await admit(alice, bob)
    await alice.sees(bob)
    begun = time.monotonic()
    await bob.page.goto("about:blank")  # as closing does, but for a test that waits for it
    await expect(alice.page.locator(alice.tile(bob))).to_have_count(0)
    assert time.monotonic() - begun < 25, "before the grace time of 30 s"
    again = await host.invite("bob", meeting)
    await again.enter()  # "Ask to join", and in, though nobody admits him
    await alice.sees(again)
    assert await alice.faces() == ["Alice (you)", "Bob"]


_UNREACHABLE = """
    const { setRemoteDescription } = RTCPeerConnection.prototype;
    globalThis.blocked = true;
    RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
        const wrong = blocked ? sdp.replace(/a=ice-pwd:.{4}/g, 'a=ice-pwd:XXXX') : sdp;
        return setRemoteDescription.call(this, { type, sdp: wrong });
    };
"""


async def test_media_that_does_not_get_through_is_said_within_ten_seconds(
    host: Host, meeting: Meeting
) -> None:
    alice = await host.invite("alice", meeting)
    await alice.page.add_init_script(_UNREACHABLE)
    await alice.enter()
    begun = time.monotonic()
    notice = alice.page.locator(".trouble-notice .notice")
    await expect(notice).to_contain_text(re.compile(r"do not get through to \S+, UDP port \d+\."))
    assert time.monotonic() - begun < 10
    await expect(notice).to_contain_text("firewall")
    await expect(alice.page.locator("[data-connection]")).to_be_visible()
    await alice.page.evaluate("() => { blocked = false }")
    await expect(notice).to_have_count(0)
    await expect(alice.page.locator("[data-connection]")).to_be_hidden()
    assert alice.errors == []


@pytest.mark.parametrize("path", ["audio/offer", "media/answer"])
async def test_a_certificate_that_was_changed_on_the_way_is_said_in_the_servers_words(
    host: Host, meeting: Meeting, path: str
) -> None:
    """Of the connection that bob offers, and of the one that the server does."""
    alice, bob = [await host.invite(name, meeting) for name in ("alice", "bob")]

    async def change(route: Any, request: Any) -> None:
        body = request.post_data_json
        fingerprint = r"(?<=a=fingerprint:sha-256 )\S+"
        body["sdp"] = re.sub(fingerprint, lambda found: found[0][::-1], body["sdp"])
        await route.continue_(post_data=json.dumps(body))

    await bob.page.route(f"**/{path}", change)
    await alice.enter()
    await admit(alice, bob)
    notice = bob.page.locator(".trouble-notice .notice")
    await expect(notice).to_contain_text("encrypted with another key")
    await bob.page.unroute_all(behavior="ignoreErrors")
    await expect(notice).to_have_count(0)
    await bob.sees(alice)
    assert bob.errors == []


async def test_a_picture_that_the_link_does_not_carry_says_so_on_its_tile(
    host: Host, meeting: Meeting
) -> None:
    alice, bob = [await host.invite(name, meeting) for name in ("alice", "bob")]
    await alice.enter()
    await admit(alice, bob)
    await bob.sees(alice)
    await alice.sees(bob)

    async def pause(paused: bool) -> None:
        feed = sfu.Feed(UUID(alice.user_id), "video")
        body = sfu.FeedPaused(user=UUID(bob.user_id), feed=feed, paused=paused)
        await host.parley.notice(meeting.id, body)

    tile = bob.page.locator(bob.tile(alice))
    words = bob.page.get_by_text("Paused: your connection is too slow")
    still = re.compile("^Alice, .*, paused because your connection is too slow$")
    await pause(True)
    await expect(tile.get_by_text("Paused: your connection is too slow")).to_be_visible()
    await expect(tile).to_have_attribute("aria-label", still)
    await expect(words.filter(visible=True)).to_have_count(1)
    await bob.shot("paused")
    await pause(False)
    await expect(words.filter(visible=True)).to_have_count(0)
    await expect(tile).not_to_have_attribute("aria-label", still)
    # A picture that ended is not paused, nor is the one that follows.
    await pause(True)
    await expect(words.filter(visible=True)).to_have_count(1)
    await alice.press("camera")
    await expect(words.filter(visible=True)).to_have_count(0)
    await alice.press("camera")
    await bob.sees(alice)
    await expect(words.filter(visible=True)).to_have_count(0)
    # Nor does a new set of connections know of it.
    await pause(True)
    await expect(words.filter(visible=True)).to_have_count(1)
    os.kill(host.parley.worker_of(meeting.id), signal.SIGKILL)
    await expect(words.filter(visible=True)).to_have_count(0)
    await bob.sees(alice)
    assert await alice.page.locator(".paused").filter(visible=True).count() == 0
    assert alice.errors == bob.errors == []


async def test_a_worker_that_is_not_there_is_said_in_its_own_words(
    host: Host, meeting: Meeting
) -> None:
    alice = await host.invite("alice", meeting)
    refusal = {"code": "no_worker", "message": "no media worker can take this meeting"}

    async def refuse(route: Any) -> None:
        await route.fulfill(status=424, json=refusal)

    await alice.page.route("**/audio/offer", refuse)
    await alice.enter()
    notice = alice.page.locator(".trouble-notice .notice")
    await expect(notice).to_contain_text("no media worker can take this meeting")
    await alice.page.unroute_all(behavior="ignoreErrors")
    await expect(notice).to_have_count(0)


async def test_the_home_page_follows_what_happens(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    bob = await host.invite("bob", meeting)
    await alice.page.goto(f"{host.parley.address}/#token={host.parley.token('alice')}")
    entries = alice.page.locator(".meetings li")
    entry = alice.page.locator(
        ".meetings li", has=alice.page.locator(f"[href='/join/{meeting.code}']")
    )
    await expect(entry).to_contain_text("Not started")
    await call(meeting, "POST", "/start")
    await expect(entry).to_contain_text("Running")
    await expect(entry.get_by_role("link", name="Join Weekly planning")).to_be_visible()
    await bob.open()
    await bob.knock()
    await expect(entry).to_contain_text("1 waiting")
    await call(meeting, "POST", f"/queue/{bob.user_id}", json={"status": "ACCEPTED"})
    await expect(entry).to_contain_text("1 person in")
    await expect(entry).not_to_contain_text("waiting room · 0")
    await call(meeting, "POST", "/stop")
    await expect(entry).to_contain_text("Not started")
    further = await meeting.another("scheduled")
    link = f"[href='/join/{further.code}']"
    await expect(entries.locator(link)).to_be_visible()
    await further.delete()
    await expect(entries.locator(link)).to_have_count(0)
    # Only who may delete it finds the word for it.
    await bob.page.goto(f"{host.parley.address}/")
    his = bob.page.locator(".meetings li", has=bob.page.locator(f"[href='/join/{meeting.code}']"))
    await expect(his).to_be_visible()
    await expect(his.get_by_role("button", name="Delete")).to_have_count(0)
    await expect(entry.get_by_role("button", name="Delete")).to_have_text("Delete")
    assert alice.errors == []


async def test_the_join_page_follows_what_happens(host: Host, meeting: Meeting) -> None:
    members_only = await meeting.another("permanent")
    await call(
        members_only, "PUT", f"/members/{user_id_for('bob')}", json={"userType": "registered"}
    )
    bob = await host.invite("bob", members_only)
    await bob.open()
    button = bob.page.locator(".lobby-side .primary")
    await expect(button).to_have_text("Join when it starts")
    await call(members_only, "POST", "/start")
    await expect(button).to_have_text("Join now")
    alice = await host.invite("alice", members_only)
    await alice.enter()
    await expect(bob.page.locator(".lobby-side")).to_contain_text("One person is in")
    await members_only.delete()
    await heading(bob, "This link does not work")
    assert bob.errors == []
