"""Every page and state under axe-core, in light and dark; and names that no layout was drawn for."""

from __future__ import annotations

from typing import Any

import pytest
from accessibility import violations
from browser_rig import Host, Meeting, Person, admit
from playwright.async_api import expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(240),
]

LONG = ("Wolfeschlegelsteinhausenbergerdorff" * 8)[:256]
RIGHT_TO_LEFT = "محمد الخوارزمي بن موسى"
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
ZOOMED: dict[str, Any] = {"viewport": {"width": 590, "height": 370}, "device_scale_factor": 2}
"""200 % of a window of 1180 x 740."""


async def check(person: Person, state: str) -> None:
    """In both themes."""
    for theme in ("light", "dark"):
        await person.page.evaluate(
            "(theme) => { document.documentElement.dataset.theme = theme }", theme
        )
        assert await violations(person.page) == [], f"{state}, {theme}"


async def test_the_pages_around_a_meeting_pass(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    await alice.page.goto(f"{host.parley.address}/")
    await expect(alice.page.get_by_label("Access token")).to_be_visible()
    await alice.page.get_by_label("Access token").fill("no token")
    await alice.page.keyboard.press("Enter")
    await check(alice, "token page with its complaint")
    await alice.page.goto(f"{host.parley.address}/#token={host.parley.token('alice')}")
    await expect(alice.page.locator(".meetings li").first).to_be_visible()
    await check(alice, "home")
    await alice.page.get_by_role("button", name="Delete").first.click()
    await expect(alice.page.get_by_role("dialog")).to_be_visible()
    await check(alice, "question")
    await alice.page.get_by_role("button", name="Cancel").click()
    await alice.page.set_viewport_size(PHONE["viewport"])
    await check(alice, "home on a phone")
    await alice.page.goto(f"{host.parley.address}/join/AAAAAAAAAA")
    await expect(alice.page.get_by_role("heading", name="This link does not work")).to_be_visible()
    await check(alice, "wrong link")
    await alice.open()
    await check(alice, "lobby on a phone")
    await alice.page.set_viewport_size({"width": 1180, "height": 740})
    await check(alice, "lobby")
    assert alice.errors == []


async def test_a_meeting_passes_in_every_state(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting, display=f"Alice {LONG[:40]}")
    bob = await host.invite("bob", meeting, display=LONG)
    carol = await host.invite("carol", meeting, display=RIGHT_TO_LEFT, **PHONE)
    await alice.enter()
    await check(alice, "alone")
    await bob.open()
    await bob.knock()
    await bob.page.wait_for_selector("text=Waiting to be let in")
    await check(bob, "waiting")
    await expect(alice.page.locator(".toast")).to_be_visible()
    await check(alice, "somebody knocks")
    await alice.press("people")
    await check(alice, "people, one waits")
    await alice.page.click(f"[data-key='admit {bob.user_id}']")
    await bob.page.wait_for_selector(".room")
    await alice.press("people")
    await admit(alice, carol)
    await carol.sees(alice)
    await alice.press("people")
    await alice.page.click(f"[data-key='more {bob.user_id}']")
    await check(alice, "people, with what a moderator can do")
    await carol.press("people")
    await check(carol, "people on a phone")
    await bob.press("stats")
    await expect(bob.page.locator(".figure")).not_to_have_count(0)
    await check(bob, "statistics")
    await bob.press("screen")
    await carol.sees(bob, "screen")
    await check(carol, "a shared screen on a phone")
    await bob.press("mic")
    await bob.press("camera")
    await check(bob, "everything off")
    await bob.page.keyboard.press("?")
    await check(bob, "shortcuts")
    await bob.page.keyboard.press("Escape")
    await alice.page.click(f"[data-key='remove {bob.user_id}']")
    await check(alice, "question")
    await alice.page.click("dialog .danger")
    await expect(bob.page.get_by_role("heading", name="You were taken out")).to_be_visible()
    await check(bob, "removed")
    await carol.press("leave")
    await check(carol, "left, on a phone")
    assert alice.errors == bob.errors == carol.errors == []


@pytest.mark.parametrize("screen", [{}, PHONE, ZOOMED], ids=["wide", "phone", "zoomed"])
@pytest.mark.parametrize("name", [LONG, RIGHT_TO_LEFT], ids=["long", "right to left"])
async def test_no_name_hides_a_button(
    host: Host, meeting: Meeting, screen: dict[str, Any], name: str
) -> None:
    alice = await host.invite("alice", meeting, display=name, **screen)
    bob = await host.invite("bob", meeting, display=name)
    await alice.enter()
    await bob.open()
    await bob.knock()
    page = alice.page
    toast = page.locator(".toast")
    await expect(toast).to_contain_text("is waiting to be let in")
    for label in ("Reject", "Admit"):
        await expect(toast.get_by_role("button", name=label)).to_be_in_viewport(ratio=1)
    await alice.press("people")
    for key in ("reject", "admit"):
        await expect(page.locator(f"[data-key='{key} {bob.user_id}']")).to_be_in_viewport(ratio=1)
    await page.click(f"[data-key='admit {bob.user_id}']")
    for key in ("mute", "more"):
        await expect(page.locator(f"[data-key='{key} {bob.user_id}']")).to_be_in_viewport(ratio=1)
    await page.click(f"[data-key='more {bob.user_id}']")
    remove = page.locator(f"[data-key='remove {bob.user_id}']")
    await remove.scroll_into_view_if_needed()
    await expect(remove).to_be_in_viewport(ratio=1)
    for tool in ("mic", "leave"):
        await expect(page.locator(f"[data-tool={tool}]")).to_be_in_viewport(ratio=1)
    across = await page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    assert across <= 0, "nothing to scroll sideways"


async def test_a_long_name_of_a_meeting_hides_nothing(host: Host, meeting: Meeting) -> None:
    body = {"name": LONG, "meetingType": "scheduled"}
    async with meeting.http.post("/meetings", json=body, headers=meeting.headers) as response:
        made = await response.json()
    long = Meeting(meeting.http, meeting.headers, made["id"], made["joinCode"])
    alice = await host.invite("alice", long, **PHONE)
    page = alice.page
    await page.goto(f"{host.parley.address}/#token={host.parley.token('alice')}")
    entry = page.locator(".meetings li", has_text="Wolfe").first
    for name in ("Open", "Copy link", "Delete"):
        button = entry.get_by_role("link" if name == "Open" else "button", name=name)
        await button.scroll_into_view_if_needed()
        await expect(button).to_be_in_viewport(ratio=1)
    await alice.open()
    await expect(page.locator(".lobby-side .primary")).to_be_in_viewport(ratio=1)
    await alice.knock()
    await expect(page.get_by_role("button", name="Copy link").first).to_be_in_viewport(ratio=1)
    assert await page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    await long.delete()


async def test_a_phone_shows_the_others_large_and_oneself_small(
    host: Host, meeting: Meeting
) -> None:
    alice = await host.invite("alice", meeting)
    bob = await host.invite("bob", meeting, **PHONE)
    await alice.enter()
    await admit(alice, bob)
    await bob.sees(alice)
    other = await bob.page.locator(bob.tile(alice)).bounding_box()
    own = await bob.page.locator(bob.tile(bob)).bounding_box()
    assert other is not None
    assert own is not None
    assert other["width"] > 300
    assert other["height"] > 400
    assert own["width"] < 140
    title = bob.page.get_by_role("heading", name="Weekly planning")
    assert await title.evaluate("(each) => each.scrollWidth <= each.clientWidth"), "not cut"
    await expect(bob.page.locator("[data-connection]")).to_be_hidden()


async def test_a_shared_screen_fills_the_display_when_asked(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    bob = await host.invite("bob", meeting)
    await alice.enter()
    await admit(alice, bob)
    await bob.press("screen")
    await alice.sees(bob, "screen")
    await alice.page.get_by_role("button", name="Enlarge").click()
    await alice.until("() => document.fullscreenElement?.dataset.kind === 'screen'")
    await alice.sees(bob, "screen")
    await alice.page.get_by_role("button", name="Enlarge").click()
    await alice.until("() => document.fullscreenElement === null")
    assert alice.errors == bob.errors == []


async def test_a_notice_comes_first_in_the_order_and_gives_the_focus_back(
    host: Host, meeting: Meeting
) -> None:
    alice = await host.invite("alice", meeting)
    bob = await host.invite("bob", meeting)
    await alice.enter()
    await bob.open()
    await bob.knock()
    await expect(alice.page.locator(".toast")).to_be_visible()
    heading = alice.page.get_by_role("heading", name="Weekly planning")
    await expect(heading).to_be_focused()
    await alice.page.keyboard.press("Shift+Tab")
    await expect(alice.page.locator(".toast").get_by_role("button", name="Admit")).to_be_focused()
    await alice.page.keyboard.press("Enter")
    await bob.page.wait_for_selector(".room")
    await expect(heading).to_be_focused()
