"""What browsers do to their transports, at a worker without the rest: m-lines stopped and added, ICE restarted."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol
from uuid import uuid4

import pytest
from browser_rig import CHROMIUM_FLAGS
from firefox_rig import running_firefox
from media_rig import Controller, Participant, controlling, patient, running_worker
from playwright.async_api import async_playwright

from config.settings import THIS_MACHINE
from schemas.sfu import ConnectionLost, OfferAudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SETUP = """() => {
  window.pc = new RTCPeerConnection();
  const context = new AudioContext();
  const tone = context.createOscillator();
  const made = context.createMediaStreamDestination();
  tone.connect(made);
  tone.start();
  context.resume();
  window.speak = () => { pc.addTransceiver(made.stream.getAudioTracks()[0], { streams: [made.stream] }); };
  speak();
  pc.addTransceiver("audio", { direction: "recvonly" });
  return true;
}"""
OFFER = "async () => { await pc.setLocalDescription(await pc.createOffer()); return pc.localDescription.sdp; }"
ANSWER = (
    """async (sdp) => { await pc.setRemoteDescription({ type: "answer", sdp }); return true; }"""
)
PACKETS = """async () => {
  let packets = 0;
  (await pc.getStats()).forEach((one) => { if (one.type === "inbound-rtp") packets += one.packetsReceived; });
  return packets;
}"""


class Page(Protocol):
    async def evaluate(self, function: str, argument: Any = None) -> Any: ...


@asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("BROWSER TESTS SKIPPED: no Chromium here (Debian: apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield await browser.new_page()
        await browser.close()


@asynccontextmanager
async def firefox() -> AsyncIterator[Page]:
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        pytest.skip("FIREFOX TESTS SKIPPED: no Firefox here (Debian: apt-get install firefox-esr)")
    async with running_firefox(path) as browser:
        yield await browser.page()


async def negotiate(page: Page, controller: Controller, user: Any) -> None:
    sdp = await page.evaluate(OFFER)
    answer = await controller.answered(OfferAudio(user=user, sdp=sdp, enabled=True))
    await page.evaluate(ANSWER, answer)


async def hears(page: Page, packets: int = 30) -> None:
    """Wait until so many more audio packets have come."""
    start = await page.evaluate(PACKETS)
    async with asyncio.timeout(patient(10)):
        while await page.evaluate(PACKETS) < start + packets:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("browser", [chromium, firefox], ids=["chromium", "firefox"])
async def test_sound_flows_whatever_becomes_of_the_transport(redis_url: str, browser: Any) -> None:
    """The m-line that carried it is stopped, another one is added, ICE is restarted."""
    alice = uuid4()
    async with (
        running_worker(redis_url, media_host=THIS_MACHINE) as worker,
        controlling(redis_url, worker) as controller,
        browser() as page,
    ):
        bob = Participant(controller)
        await bob.join_audio(slots=1)
        await page.evaluate(SETUP)
        await negotiate(page, controller, alice)
        await hears(page)
        await bob.hears()

        await page.evaluate("() => { pc.getTransceivers()[0].stop(); return true; }")
        await negotiate(page, controller, alice)
        await hears(page)

        await page.evaluate("() => { speak(); return true; }")
        await negotiate(page, controller, alice)
        await hears(page)
        await bob.hears()

        await page.evaluate("() => { pc.restartIce(); return true; }")
        await negotiate(page, controller, alice)
        await hears(page)
        await bob.hears()

        assert not controller.seen(ConnectionLost)
        counters = worker.counters()
        assert counters["addresses_proven"] >= 3, "it answers the checks that we send"
        assert counters["dtls_renewals"] >= 1
        await bob.close()
