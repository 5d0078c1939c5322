"""What happens to somebody is told to them in words, and pages follow what happens elsewhere."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from browser_rig import Host, Meeting, Person, admit
from playwright.async_api import expect

from conference.tokens import user_id_for

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
