"""The page as people use it: runs appear, are narrowed, looked at, moved through their time, and answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine import Engine, Schedule, new_signer
from openagents_json.engine.audit import verify_file
from tests.browser.browsing import browser, opened, picture, violations
from tests.conftest import SharedServers, wait_for
from tests.integration.services.calling import (
    ASKING,
    BREAKING,
    GREETING,
    TALKING,
    deliver,
    engine_on,
    serving_api,
)

NARROW = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
MARKUP = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
APPROVING: Any = {
    "id": "approving",
    "version": "1.0.0",
    "steps": [
        {"id": "first", "component": "greet", "inputs": {"name": "Ada"}},
        {
            "id": "approve",
            "depends_on": ["first"],
            "wait_for": {
                "signal": "decision",
                "schema": {
                    "type": "object",
                    "properties": {
                        "ok": {"type": "boolean"},
                        "why": {"type": "string"},
                    },
                    "required": ["ok"],
                },
            },
        },
    ],
    "output": "{{approve.output}}",
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture
def engine(shared_servers: SharedServers) -> Iterator[Engine]:
    with engine_on(shared_servers.of("valkey")) as opened_engine:
        yield opened_engine


@pytest.fixture
def url(engine: Engine) -> Iterator[str]:
    with serving_api(engine) as served:
        yield served


def ended(engine: Engine, workflow: Any, **inputs: Any) -> str:
    run = engine.start(workflow, inputs, labels={"team": "sales"})
    engine.wait(run, timeout=60)
    return run.id


def test_the_first_run_of_an_empty_store_appears_and_runs_are_narrowed(
    chromium: Any, engine: Engine, url: str
) -> None:
    with opened(chromium, f"{url}/") as page:
        page.wait_for_selector("h1:text-is('No runs yet')")
        greeting = ended(engine, GREETING, name="Ada")
        breaking = ended(engine, BREAKING)
        page.wait_for_selector(f"a:text-is('{greeting}')")
        page.wait_for_selector(f"a:text-is('{breaking}')")
        page.wait_for_selector(".count.is-failed:has-text('1')")
        page.click(".count.is-failed")
        page.wait_for_selector(f"a:text-is('{greeting}')", state="detached")
        page.wait_for_function("() => location.hash === '#/runs?status=failed'")
        page.click("a:text-is('breaking')")
        page.wait_for_function(
            "() => location.hash === '#/runs?status=failed&workflow=breaking'"
        )
        page.goto(f"{url}/#/runs?label=team%3Dsales&workflow=greeting")
        page.wait_for_selector(f"a:text-is('{breaking}')", state="detached")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_function(f"() => location.hash === '#/runs/{greeting}'")
        picture(page, "run")


def test_a_run_is_answered_and_its_moments_are_looked_at(
    chromium: Any, engine: Engine, url: str
) -> None:
    run = engine.start(APPROVING)
    with opened(chromium, f"{url}/#/inbox") as page:
        page.click("td button:text-is('decision')")
        page.check("dialog input[type=checkbox]")
        page.fill("dialog label:has-text('why') input", "it's fine")
        command = page.inner_text("dialog pre >> nth=0")
        assert """--payload '{"ok":true,"why":"it'\\''s fine"}'""" in command
        page.click("dialog button[type=submit]")
        page.wait_for_selector("dialog", state="detached")
        assert engine.wait(run, timeout=60).output == {"ok": True, "why": "it's fine"}
        page.goto(f"{url}/#/runs/{run.id}")
        page.wait_for_selector(".heading .is-completed")
        page.wait_for_selector(".box.is-completed:has-text('approve')")
        page.fill("input[type=range]", "2")
        page.wait_for_selector(".box.is-not-begun:has-text('approve')")
        page.wait_for_selector("tr.now a:text-is('2')")
        page.wait_for_selector(".cursor >> nth=0", state="attached")
        assert page.evaluate("location.hash") == f"#/runs/{run.id}?at=2"
        picture(page, "moment")
        page.reload()
        page.wait_for_selector(".box.is-not-begun:has-text('approve')")
        page.click("button:text-is('Now')")
        page.wait_for_selector(".box.is-completed:has-text('approve')")


def test_a_run_is_forked_with_other_inputs_and_one_that_failed_is_mended(
    chromium: Any, engine: Engine, url: str
) -> None:
    greeting = ended(engine, GREETING, name="Ada")
    breaking = ended(engine, BREAKING)
    with opened(chromium, f"{url}/#/runs/{greeting}?at=1") as page:
        page.click("button:text-is('Fork')")
        page.fill("dialog label:has-text('Inputs') textarea", '{"name": "Grace"}')
        command = page.inner_text("dialog pre >> nth=0")
        assert f"runs fork {greeting} --at 1 --set name=Grace" in command
        page.click("dialog button[type=submit]")
        page.wait_for_function(f"() => !location.hash.includes('{greeting}')")
        page.wait_for_selector(".heading .is-completed")
        forked = page.evaluate("location.hash").split("/")[2]
        assert engine.wait(forked, timeout=60).output == "Hello, Grace!"
        page.goto(f"{url}/#/runs/{breaking}")
        page.click("button:text-is('Complete a step')")
        assert "fall" in page.inner_text("dialog pre >> nth=0")
        page.fill("dialog textarea", '{"by": ')
        page.wait_for_selector("dialog button[type=submit][disabled]")
        page.fill("dialog textarea", '{"by": "hand"}')
        page.click("dialog button[type=submit]")
        page.wait_for_selector(".heading .is-completed")


def test_a_run_is_explained_compared_and_heard(
    chromium: Any, engine: Engine, url: str
) -> None:
    one, other = ended(engine, GREETING, name="Ada"), ended(engine, GREETING, name="Bo")
    failed, talked = ended(engine, BREAKING), ended(engine, TALKING)
    with opened(chromium, f"{url}/#/runs/{one}") as page:
        page.fill("input[name=other]", other)
        page.click("button:text-is('Compare')")
        page.wait_for_selector("td:text-is('input name')")
        assert page.evaluate("location.hash") == f"#/runs/{one}?compare={other}"
        page.goto(f"{url}/#/runs/{failed}")
        page.click("button:text-is('Explain')")
        page.wait_for_selector(".panel:has-text('it broke') td:text-is('failed')")
        page.goto(f"{url}/#/runs/{talked}")
        page.click("button:text-is('Show what its steps say')")
        page.wait_for_selector("[role=log] pre:has-text('2')")


def test_what_failed_is_retried_at_once_and_views_are_kept(
    chromium: Any, engine: Engine, url: str
) -> None:
    runs = [ended(engine, BREAKING) for _ in range(3)]
    with opened(chromium, f"{url}/#/runs?workflow=breaking") as page:
        page.click("button:text-is('Retry all …')")
        page.click("dialog button:text-is('Retry 3 runs')")
        page.wait_for_selector("dialog p:has-text('3 of 3 done.')")
        command = page.inner_text("dialog pre")
        assert "--where workflow=breaking --where status=failed" in command
        page.keyboard.press("Escape")
        wait_for(lambda: all(engine.state(run).status == "failed" for run in runs))
        page.click("summary:has-text('Views')")
        page.fill(".menu input[name=name]", "broken")
        page.keyboard.press("Enter")
        page.click("summary:has-text('Columns')")
        page.uncheck("label:has-text('Started') input")
        page.wait_for_selector("th:text-is('Started')", state="detached")
        page.reload()
        page.click("summary:has-text('Views')")
        page.wait_for_selector(".menu a:text-is('broken')")
        assert page.query_selector("th:text-is('Started')") is None


def test_a_schedule_is_paused_and_triggered(
    chromium: Any, engine: Engine, url: str
) -> None:
    engine.publish(ASKING)
    with opened(chromium, f"{url}/#/schedules") as page:
        page.wait_for_selector(".panel pre")
        engine.schedules.create(Schedule("nightly", "asking", cron="0 2 * * *"))
        page.click(".fold:text-is('nightly')")
        page.wait_for_selector("td li time")
        page.click("button:text-is('Trigger')")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("dialog", state="detached")
        wait_for(lambda: engine.views.count() == 1)
        page.click("button:text-is('Pause')")
        assert "schedules pause nightly" in page.inner_text("dialog pre >> nth=0")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("td .is-paused")


def test_a_queue_is_paused_limited_and_goes_on(
    chromium: Any, engine: Engine, url: str
) -> None:
    with opened(chromium, f"{url}/#/queues") as page:
        page.click("button[aria-label='Pause tool']")
        page.fill("dialog label:has-text('Reason') input", "the disks are full")
        command = page.inner_text("dialog pre >> nth=0")
        assert command.endswith("pause --type tool --reason 'the disks are full'")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("tr:has-text('tool') .is-paused")
        assert [order.what for order in engine.control.in_force()] == ["pause"]
        page.click("button[aria-label='Resume tool']")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("tr:has-text('tool') .is-paused", state="detached")
        page.click("button[aria-label='Limit agent']")
        page.fill("dialog input[type=number]", "1")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("tr:has-text('agent') .chip:has-text('1 at a time')")
        page.wait_for_selector("td:text-is('pause taken back')")
        assert [order.at_most for order in engine.control.in_force()] == [1]


def test_keys_are_made_limited_and_taken_back(
    chromium: Any, engine: Engine, url: str
) -> None:
    with opened(chromium, f"{url}/#/settings") as page:
        page.click("button:text-is('Make a key')")
        page.fill("dialog input >> nth=0", "dashboard")
        page.select_option("dialog select", "operator")
        page.fill("dialog input[type=number]", "90")
        page.click("dialog button[type=submit]")
        page.wait_for_selector(".panel pre:has-text('oak_')")
        key = engine.api_keys.find(page.inner_text(".panel pre"))
        assert key is not None
        assert (key.name, key.role) == ("dashboard", "operator")
        page.click("button[aria-label='Limit dashboard']")
        page.fill("dialog input", "5/x")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("dialog [role=alert]:has-text('no rate')")
        page.fill("dialog input", "5/s")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("td:text-is('5/s')")
        page.click("button[aria-label='Take back dashboard']")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("p:text-is('There is no key.')")
        assert engine.api_keys.every() == []


def test_the_ledger_is_verified_exported_and_gives_receipts(
    chromium: Any, engine: Engine, url: str, tmp_path: Path
) -> None:
    run = ended(engine, GREETING, name="Ada")
    with opened(chromium, f"{url}/#/audit") as page:
        page.wait_for_selector("p:has-text('nothing is sealed')")
        engine.audit.seal(new_signer())
        page.reload()
        page.click("button:text-is('Verify')")
        page.wait_for_selector(".is-completed:has-text('intact')")
        with page.expect_download() as export:
            page.click("button:text-is('Export')")
        export.value.save_as(tmp_path / "ledger.zip")
        assert verify_file(tmp_path / "ledger.zip").intact
        page.goto(f"{url}/#/runs/{run}")
        page.wait_for_selector("tr:has-text('RunCompleted') .is-completed")
        page.click(".fold:text-is('RunCompleted')")
        with page.expect_download() as receipt:
            page.click("button:text-is('Download the receipt')")
        receipt.value.save_as(tmp_path / "receipt.json")
        assert verify_file(tmp_path / "receipt.json").verified == 1
        page.click("button:text-is('Verify against the ledger')")
        page.wait_for_selector(".is-completed:has-text('intact')")


def test_many_items_are_one_row_until_it_is_opened_and_a_family_is_shown(
    chromium: Any, engine: Engine, url: str
) -> None:
    each = {"id": "each", "component": "greet", "inputs": {"name": "{{item}}"}}
    names = [str(number) for number in range(60)]
    fan_out = {"id": "many", "steps": [{**each, "foreach": names}]}
    run = ended(engine, fan_out)
    with opened(chromium, f"{url}/#/runs/{run}") as page:
        page.wait_for_selector(".steps .items")
        assert page.locator(".steps tbody tr").count() == 1
        assert page.locator(".timeline .rows li").count() == 1
        page.click(".fold:text-is('60 items')")
        page.wait_for_selector(".steps code:text-is('each[59]')")
        page.check("label:has-text('Show each item of each') input")
        page.wait_for_selector(".row-name:text-is('each[7]')")
        page.goto(f"{url}/#/runs")
        page.wait_for_selector(".count.is-completed:has-text('1')")
        engine.publish({**GREETING, "id": "greeting-child"})
        child = {"id": "ask", "workflow": "greeting-child", "inputs": {"name": "Ada"}}
        parent = ended(engine, {"id": "parent", "steps": [child]})
        page.goto(f"{url}/#/runs/{parent}")
        page.click("button:text-is('Show its family')")
        page.wait_for_selector(".family li:has-text('greeting-child')")


def test_a_capsule_opens_where_its_file_is_dropped(
    chromium: Any, engine: Engine, url: str, tmp_path: Path
) -> None:
    run = ended(engine, GREETING, name=MARKUP)
    capsule = tmp_path / "run.capsule"
    with capsule.open("wb") as file:
        engine.files.export(run, file)
    with opened(chromium, f"{url}/#/runs", bypass_csp=True) as page:
        page.wait_for_selector("a[data-row]")
        transfer = page.evaluate_handle(
            """bytes => {
              const transfer = new DataTransfer();
              transfer.items.add(new File([new Uint8Array(bytes)], "run.capsule"));
              return transfer;
            }""",
            list(capsule.read_bytes()),
        )
        page.dispatch_event("main", "drop", {"dataTransfer": transfer})
        page.wait_for_selector(f"code:text-is('{run}')")
        page.wait_for_selector("dd:text-is('as the manifest says')")
        page.click(".fold:text-is('RunStarted')")
        page.wait_for_selector("tr pre:has-text('img src=x')")
        assert violations(page) == []
        page.set_input_files("input[type=file]", __file__)
        page.wait_for_selector("[role=alert]:has-text('It is no zip')")


def test_nothing_of_a_run_becomes_markup(
    chromium: Any, engine: Engine, url: str
) -> None:
    run = engine.start(GREETING, {"name": MARKUP}, labels={"note": MARKUP})
    engine.wait(run, timeout=60)
    with opened(chromium, f"{url}/#/runs/{run.id}") as page:
        page.wait_for_selector(".box.is-completed")
        page.click(".steps .fold")
        assert MARKUP in page.inner_text("#data ~ .columns pre >> nth=0").replace(
            '\\"', '"'
        )
        assert page.query_selector("main img, main script") is None
        assert page.title() == f"{run.id} – OpenAgents JSON"


def test_what_the_page_does_not_do_its_policy_forbids(chromium: Any, url: str) -> None:
    page = chromium.new_page()
    page.goto(url)
    tried = "() => { try { document.body.innerHTML = '<b>'; } catch { return true; } }"
    assert page.evaluate(tried)
    page.close()


def test_a_service_with_keys_asks_for_one(chromium: Any, engine: Engine) -> None:
    ended(engine, GREETING, name="Ada")
    secret = engine.api_keys.create("somebody", "viewer").secret
    with (
        serving_api(engine, is_open=False) as url,
        opened(chromium, f"{url}/") as page,
    ):
        page.fill("input[name=key]", "nothing")
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=alert]")
        page.fill("input[name=key]", secret)
        page.keyboard.press("Enter")
        page.wait_for_selector("a[data-row]")
        page.click("a[data-row]")
        page.click("button:text-is('Retry')")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("dialog [role=alert]:has-text('role')")
        page.keyboard.press("Escape")
        page.click("button:text-is('Sign out')")
        page.wait_for_selector("input[name=key]")


@pytest.mark.parametrize("options", [{}, NARROW], ids=["wide", "narrow"])
def test_nobody_is_kept_out(
    chromium: Any, engine: Engine, url: str, options: dict[str, Any]
) -> None:
    engine.publish(APPROVING)
    engine.publish(ASKING)
    engine.api_keys.create("dashboard", "viewer")
    engine.audit.seal(new_signer())
    engine.schedules.create(Schedule("nightly", "asking", cron="0 2 * * *"))
    deliver(engine, "pushes", "one")
    failed = ended(engine, BREAKING)
    engine.start(ASKING)
    run = engine.start(APPROVING)
    engine.signal(run, "decision", {"ok": True})
    engine.wait(run, timeout=60)
    # axe has to be put into the page, which its policy forbids.
    with opened(chromium, f"{url}/", bypass_csp=True, **options) as page:
        for address, there in (
            ("runs", "a[data-row]"),
            ("inbox", "td button"),
            ("failures", ".fold"),
            ("queues", "tbody tr"),
            ("settings", "tbody tr"),
            ("audit", ".asked"),
            ("workers", "tbody tr"),
            ("schedules", "tbody tr"),
            ("hooks", "tbody tr"),
            ("catalog", "tbody tr"),
            ("catalog/approving/1.0.0", ".graph svg"),
            (f"runs/{run.id}", ".box.is-completed"),
            (f"runs/{run.id}?at=3", "tr.now"),
            (f"runs/{run.id}?compare={failed}", "[aria-label='What differs']"),
        ):
            page.goto(f"{url}/#/{address}")
            page.wait_for_selector(there)
            assert violations(page) == [], address
            name = address.split("?")[0].replace("/", "-").replace(run.id, "run")
            picture(page, f"{name}-{'narrow' if options else 'wide'}")
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= page.viewport_size["width"], address
        page.click("button:text-is('Retry')")
        page.wait_for_selector("dialog")
        assert violations(page) == []
