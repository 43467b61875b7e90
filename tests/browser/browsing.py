"""A browser with pages of a service, and what a person would find wrong with them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright  # type: ignore[import-not-found]

ROOT = Path(__file__).parents[2]
AXE = ROOT / "build/page/npm/node_modules/axe-core/axe.min.js"
PICTURES = ROOT / "build/page/pictures"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PATIENCE_MS = 120_000


@contextmanager
def browser() -> Iterator[Any]:
    """Start the Chromium of the system."""
    path = shutil.which("chromium")
    assert path is not None
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox"],  # it shows pages of this machine alone
        )
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened(browser: Any, url: str, **options: Any) -> Iterator[Any]:
    """Open a page that must not complain: no error, and nothing that its policy forbids."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: _complain(message, complaints))
    page.goto(url)
    yield page
    context.close()
    assert complaints == []


def _complain(message: Any, complaints: list[str]) -> None:
    """Note what the browser reports; that an answer is an error is for the page to show."""
    is_answer = message.text.startswith("Failed to load resource")
    if message.type in ("error", "warning") and not is_answer:
        complaints.append(message.text)


def violations(page: Any) -> list[str]:
    """Return what axe finds, each with the first element that it is about."""
    page.evaluate("scrollTo(0, 0)")
    page.evaluate(AXE.read_text())
    report = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
    return [
        f"{violation['id']}: {violation['nodes'][0]['html']}"
        for violation in report["violations"]
    ]


def picture(page: Any, name: str) -> None:
    """Keep a picture of the page, for people to look at."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
