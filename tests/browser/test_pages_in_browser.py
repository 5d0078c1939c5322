"""The pages around a meeting, the keyboard, and machines without camera, microphone or permission."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from browser_rig import BARE_FLAGS, Host, Meeting, Parley, note_errors
from playwright.async_api import Browser, Page, async_playwright, expect

from conference.tokens import user_id_for

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(240),
]


@pytest_asyncio.fixture(loop_scope="session")
async def bare_host(parley: Parley, chromium: str) -> AsyncIterator[Host]:
    """A browser without camera and microphone."""
    async with async_playwright() as playwright, AsyncExitStack() as stack:
        browser = await playwright.chromium.launch(executable_path=chromium, args=BARE_FLAGS)
        stack.push_async_callback(browser.close)
        yield Host(parley, browser, stack)


async def test_a_meeting_is_made_and_started_from_the_home_page(
    parley: Parley, browser: Browser
) -> None:
    context = await browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    errors = note_errors(page)
    await page.goto(f"{parley.address}/")
    await page.get_by_label("Access token").fill("not a token")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("This is not a token")
    await page.get_by_label("Access token").fill(parley.token("dora"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Hello, Dora")).to_be_visible()
    await page.get_by_label("New meeting").fill("Book club")
    await page.keyboard.press("Enter")
    entry = page.locator(".meetings li", has_text="Book club")
    await expect(entry).to_contain_text("Not started")
    await entry.get_by_role("button", name="Copy link").click()
    link = await page.evaluate("() => navigator.clipboard.readText()")
    assert link.startswith(f"{parley.address}/join/")
    await page.screenshot(path="test-artifacts/home.png")
    await entry.get_by_role("link", name="Open Book club").click()
    await page.get_by_role("button", name="Start the meeting").click()
    await expect(page.locator(".room")).to_be_visible()
    await page.locator("[data-tool=leave]").click()
    await page.get_by_role("link", name="My meetings").click()
    await page.get_by_role("button", name="Delete Book club").click()
    await page.locator("dialog .danger").click()
    await expect(entry).to_have_count(0)
    assert errors == []
    await context.close()


async def test_a_wrong_link_says_so(parley: Parley, browser: Browser) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{parley.address}/join/AAAAAAAAAA#token={parley.token('bob')}")
    await expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()
    await context.close()


async def test_members_wait_for_the_start_and_come_in_by_themselves(
    host: Host, meeting: Meeting
) -> None:
    members_only = await meeting.another("permanent")
    url = f"/meetings/{members_only.id}/members/{user_id_for('bob')}"
    body = {"userType": "registered"}
    async with meeting.http.put(url, json=body, headers=meeting.headers) as response:
        assert response.status in (200, 204), await response.text()
    carol = await host.invite("carol", members_only)
    await carol.open()
    await carol.knock()
    heading = carol.page.get_by_role("heading", name="This meeting is for its members")
    await expect(heading).to_be_visible()
    bob = await host.invite("bob", members_only)
    await bob.open()
    await bob.page.get_by_role("button", name="Join when it starts").click()
    await expect(bob.page.get_by_role("heading", name="Not started yet")).to_be_visible()
    url = f"/meetings/{members_only.id}/start"
    async with meeting.http.post(url, headers=meeting.headers) as response:
        assert response.status == 200
    await bob.page.wait_for_selector(".room")
    await members_only.delete()
    await expect(bob.page.get_by_role("heading", name="This meeting was deleted")).to_be_visible()


async def test_everything_works_by_keyboard(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    await alice.open()
    keyboard, page = alice.page.keyboard, alice.page
    await expect(page.locator(".lobby-side .primary")).to_be_focused()
    await keyboard.press("Enter")
    await page.wait_for_selector(".room")
    microphone = page.get_by_role("button", name="Microphone")
    for pressed in ("false", "true"):
        await keyboard.press("m")
        await expect(microphone).to_have_attribute("aria-pressed", pressed)
    for pressed in ("false", "true"):
        await keyboard.press("v")
        await expect(page.get_by_role("button", name="Camera")).to_have_attribute(
            "aria-pressed", pressed
        )
    people = page.get_by_role("button", name="People")
    await keyboard.press("p")
    await expect(people).to_have_attribute("aria-expanded", "true")
    await keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Close panel")).to_be_focused()
    await keyboard.press("Escape")
    await expect(people).to_be_focused()
    await keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    await keyboard.press("m")  # not while a dialog is open
    await keyboard.press("Escape")
    await expect(microphone).to_have_attribute("aria-pressed", "true")
    assert await _names_reached_by_tab(page) >= {"Copy link", "Microphone", "Camera", "Leave"}
    await page.get_by_role("button", name="Leave").focus()
    await keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="You left the meeting")).to_be_visible()
    assert alice.errors == []


async def test_without_camera_and_microphone_one_still_takes_part(
    host: Host, bare_host: Host, meeting: Meeting
) -> None:
    alice = await host.invite("alice", meeting)
    carol = await bare_host.invite("carol", meeting, color_scheme="dark")
    await alice.enter()
    await carol.open()
    await expect(carol.page.locator(".notice")).to_have_count(2)
    await carol.shot("lobby-without-devices")
    await carol.knock()
    await alice.page.click(".toast button:has-text('Admit')")
    await carol.page.wait_for_selector(".room")
    await carol.sees(alice)
    await carol.hears()
    assert await alice.faces() == ["Alice (you)", "Carol"]
    await carol.press("mic")
    await expect(carol.page.locator(".toast").first).to_contain_text("microphone")
    # After a reload nothing has been clicked yet, and the browser may hold the sound back.
    await carol.page.add_init_script(_NO_SOUND_BEFORE_A_CLICK)
    await carol.page.reload()
    tap = carol.page.get_by_role("button", name="Tap to hear")
    await expect(tap).to_be_visible()
    await carol.shot("tap-to-hear")
    await tap.click()
    await expect(tap).to_be_hidden()
    await carol.hears()
    assert alice.errors == carol.errors == []


# Chromium's own rule depends on what it remembers of the site, so a test cannot rely on it.
_NO_SOUND_BEFORE_A_CLICK = """
    const { play } = HTMLMediaElement.prototype;
    let clicked = false;
    addEventListener('click', () => { clicked = true; }, { capture: true });
    HTMLMediaElement.prototype.play = function () {
        if (clicked) return play.call(this);
        return Promise.reject(new DOMException('not before a click', 'NotAllowedError'));
    };
"""


async def test_the_chosen_camera_is_used_and_remembered(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    for chosen in (False, True):
        await alice.open()
        select = alice.page.locator("select").first
        await expect(select.locator("option")).to_have_count(2)
        if not chosen:
            await select.select_option(label="fake_device_1")
        await alice.until("() => " + _PREVIEWED + " === 'fake_device_1'")


_PREVIEWED = "document.querySelector('.preview video').srcObject?.getVideoTracks()[0].label"


async def test_a_camera_that_is_off_stays_off(host: Host, meeting: Meeting) -> None:
    alice = await host.invite("alice", meeting)
    await alice.open()
    camera = alice.page.get_by_role("button", name="Camera")
    await camera.click()
    await alice.knock()
    for _ in range(2):
        await alice.page.wait_for_selector(".room")
        await expect(camera).to_have_attribute("aria-pressed", "false")
        await expect(alice.page.locator(f"{alice.tile(alice)} video")).to_be_hidden()
        await alice.page.reload()


async def _names_reached_by_tab(page: Page) -> set[str]:
    names: set[str] = set()
    for _ in range(20):
        await page.keyboard.press("Tab")
        name = await page.evaluate("() => document.activeElement.getAttribute('aria-label') ?? ''")
        names.add(name)
    return names
