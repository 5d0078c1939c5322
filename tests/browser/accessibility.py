"""axe-core on a page as it stands: what a checker can find of WCAG's rules."""

from __future__ import annotations

from functools import cache
from importlib import resources

from playwright.async_api import Page

_RUN = """async () => {
    const { violations } = await axe.run(document, { resultTypes: ['violations'] });
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`));
}"""


@cache
def _source() -> str:
    return (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


async def violations(page: Page) -> list[str]:
    """Each violation with its element. What moves is let come to rest first: colours in motion have no contrast."""
    await page.evaluate(
        "() => Promise.allSettled(document.getAnimations()"
        ".filter((each) => Number.isFinite(each.effect.getComputedTiming().endTime)).map((each) => each.finished))"
    )
    await page.evaluate(_source())
    found: list[str] = await page.evaluate(_RUN)
    return found
