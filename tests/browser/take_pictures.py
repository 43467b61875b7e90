"""The pictures of the web page in docs/pictures: of runs that the examples make, and small enough to be kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from PIL import Image  # type: ignore[import-not-found]

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from tests.browser.browsing import ROOT, browser, opened
from tests.integration.services.calling import serving_api

PICTURES: Final = ROOT / "docs" / "pictures"
EXAMPLES: Final = ROOT / "examples"
DOCUMENTS: Final = EXAMPLES / "document_processing"
SIZE: Final = {"viewport": {"width": 1200, "height": 760}, "color_scheme": "light"}
COLOURS: Final = 96
METHOD: Final = Image.Quantize.MAXCOVERAGE
"""What is rare is seen too: a red bar for one failed item of a thousand."""
MOST_BYTES: Final = 100_000


def main() -> None:
    """Take all pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        worked_on(Path(folder)) as engine,
        serving_api(engine) as url,
        browser() as chromium,
        opened(chromium, f"{url}/", **SIZE) as page,
    ):
        runs = start(engine, Path(folder))
        page.wait_for_selector(".count.is-running .number:text-is('1')")
        taken(page, "runs")
        page.goto(f"{url}/#/runs/{runs['document']}?at=11")
        page.wait_for_selector("tr.now")
        page.wait_for_selector(".cursor", state="attached")
        taken(page, "run")
        page.goto(f"{url}/#/runs/{runs['many']}")
        page.click(".zoom button[aria-label=Smaller]")
        page.wait_for_selector(".steps .items")
        page.evaluate("document.querySelector('#graph').scrollIntoView()")
        taken(page, "many-items")
        page.goto(f"{url}/#/queues")
        page.wait_for_selector(".is-paused")
        taken(page, "queues")
        page.goto(f"{url}/#/failures")
        page.click(".fold")
        taken(page, "failures")
        page.goto(f"{url}/#/inbox")
        page.click("td button")
        page.wait_for_selector("dialog")
        taken(page, "inbox")


@contextmanager
def worked_on(folder: Path) -> Iterator[Engine]:
    """An engine with the components of some examples."""
    files = [
        DOCUMENTS / "components.py",
        EXAMPLES / "agent_pipeline" / "components.py",
        EXAMPLES / "features" / "components.py",
    ]
    registry = load([str(file) for file in files])
    with Engine.embedded(
        folder / "store", components=registry, workers=4, actor="ada"
    ) as engine:
        yield engine


def start(engine: Engine, folder: Path) -> dict[str, str]:
    """Start runs of several workflows, and return some of them when all have ended that will."""
    archive = str(folder / "archive")
    files = [*sorted((DOCUMENTS / "documents").glob("*.pdf")), Path("missing.pdf")]
    documents = [
        engine.start(
            DOCUMENTS / "workflow.json",
            {"document": str(file), "archive": archive},
            labels={"team": team},
        )
        for team in ("archive", "press")
        for file in files
    ]
    article = engine.start(
        EXAMPLES / "agent_pipeline" / "workflow.json",
        {"topic": "event sourcing"},
        labels={"team": "press"},
    )
    names = [f"customer {number}" for number in range(400)]
    many = engine.start(
        EXAMPLES / "features" / "foreach.json", {"names": [*names, "bad"]}
    )
    for run in [*documents, many]:
        engine.wait(run, timeout=300)
    engine.control.pause(worker_type="asset", reason="the archive is moved")
    engine.control.concurrency(2, worker_type="agent", reason="the model is slow")
    return {"document": documents[2].id, "article": article.id, "many": many.id}


def taken(page: Any, name: str) -> None:
    """Take a picture of what is seen at the moment, with few colours: text needs no more."""
    file = PICTURES / f"{name}.png"
    page.evaluate("document.fonts.ready")
    page.screenshot(path=file)
    with Image.open(file) as whole:
        few = whole.convert("RGB").quantize(COLOURS, METHOD, dither=Image.Dither.NONE)
    few.save(file, optimize=True)
    assert file.stat().st_size < MOST_BYTES, f"{file} is too large"


if __name__ == "__main__":
    main()
