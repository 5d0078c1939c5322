"""A whole Parley (`parley up`, two workers) and one Chromium for all browser tests; a fresh meeting for each.

Fixtures and tests share one event loop, because the browser lives longer than a test.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from browser_rig import ARTIFACTS, CHROMIUM_FLAGS, Host, Meeting, Parley
from playwright.async_api import Browser, async_playwright

# A worker without the rest, as the media tests have it.
sys.path.insert(0, str(Path(__file__).parents[1] / "media"))


@pytest.fixture(scope="session")
def chromium() -> str:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("BROWSER TESTS SKIPPED: no Chromium here (Debian: apt-get install chromium)")
    return path


@pytest.fixture(scope="session")
def parley(chromium: str) -> Iterator[Parley]:
    """Started once; asks for `chromium` so that nothing is started in vain."""
    with tempfile.TemporaryDirectory(prefix="parley-") as data, Parley(Path(data)) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    ARTIFACTS.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="session")
async def host(parley: Parley, browser: Browser) -> AsyncIterator[Host]:
    """Opens browser contexts for people, and closes them after the test."""
    async with AsyncExitStack() as stack:
        yield Host(parley, browser, stack)


@pytest_asyncio.fixture(loop_scope="session")
async def meeting(parley: Parley) -> AsyncIterator[Meeting]:
    """A scheduled meeting of alice's, not started."""
    async with aiohttp.ClientSession(parley.address) as http:
        headers = {"Authorization": f"Bearer {parley.token('alice')}"}
        made = await Meeting.create(http, headers)
        yield made
        await made.delete()
