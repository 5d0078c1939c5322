"""Firefox in a meeting with Chromium, on a server that runs as it comes."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from browser_rig import Host, Meeting, Person, admit
from firefox_rig import Firefox, running_firefox
from playwright.async_api import expect

from conference.tokens import user_named

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(240),
]


def program() -> str:
    found = shutil.which("firefox-esr") or shutil.which("firefox")
    if found is None:
        pytest.skip("FIREFOX TESTS SKIPPED: no Firefox here (Debian: apt-get install firefox-esr)")
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def firefox() -> AsyncIterator[Firefox]:
    async with running_firefox(program()) as browser:
        yield browser


async def invited(firefox: Firefox, host: Host, meeting: Meeting, name: str) -> Person:
    page = await firefox.page()
    link = f"{host.parley.address}/join/{meeting.code}#token={host.parley.token(name)}"
    return Person(name, str(user_named(name).id), link, None, page, page.errors)


async def test_firefox_and_chromium_see_and_hear_each_other(
    firefox: Firefox, host: Host, meeting: Meeting
) -> None:
    alice = await host.invite("alice", meeting)
    bob = await invited(firefox, host, meeting, "bob")
    await alice.enter()
    await admit(alice, bob)
    for one, other in ((alice, bob), (bob, alice)):
        await one.sees(other)
        await one.hears()

    picture = alice.page.locator(f"{alice.tile(bob)} video")
    await bob.press("camera")
    await expect(picture).to_be_hidden()
    await bob.press("camera")
    await expect(picture).to_be_visible()
    await alice.sees(bob)

    await bob.page.reload()
    await bob.page.wait_for_selector(".room")
    for one, other in ((alice, bob), (bob, alice)):
        await one.sees(other)
        await one.hears()
    assert await alice.faces() == ["Alice (you)", "Bob"]
    assert alice.errors == bob.errors == []


async def test_a_firefox_without_camera_and_microphone_sees_and_hears(
    host: Host, meeting: Meeting
) -> None:
    async with running_firefox(program(), {"media.navigator.streams.fake": False}) as firefox:
        alice = await host.invite("alice", meeting)
        bob = await invited(firefox, host, meeting, "bob")
        await alice.enter()
        await admit(alice, bob)
        await bob.sees(alice)
        await bob.hears()
        assert bob.errors == []
