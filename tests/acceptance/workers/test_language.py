"""Every example of the language, in memory and on real servers with Celery workers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from openagents_json.engine.inspection.version_check import check_version
from openagents_json.testing import Play, replay
from tests.acceptance.processes import wait_until_working, worker
from tests.acceptance.workers.trials import COMPONENTS, PATTERNS, ROOT, Trial, trials
from tests.conftest import Server, wait_for

pytestmark = pytest.mark.one_worker
TRIALS = trials()
LISTED = {
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    9,
    11,
    12,
    13,
    14,
    16,
    19,
    20,
    21,
    22,
    24,
    25,
    26,
    27,
    29,
    30,
    32,
    34,
    35,
    37,
    39,
    43,
}


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    prefix = server.prefix()
    with Engine.connect(
        server.url, broker=server.url, components=load([str(COMPONENTS)]), prefix=prefix
    ) as opened:
        workers = [worker(server, prefix, components=COMPONENTS) for _ in range(2)]
        try:
            wait_until_working(opened, *workers)
            yield opened
        finally:
            for process in workers:
                process.terminate()
            assert [process.wait(120) for process in workers] == [0, 0]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_an_example_does_what_it_says_with_celery_workers(
    trial: Trial, engine: Engine
) -> None:
    for other in trial.workflows:
        engine.publish(other)
    run = engine.start(trial.document, trial.inputs)
    for signal in trial.signals:
        key = signal.get("key", "").replace("{{run}}", run) or None
        engine.signal(
            run,
            signal["name"],
            signal.get("payload"),
            key=key,
            by=signal.get("by", ""),
            reason=signal.get("reason", ""),
        )
    if "cancel" in trial.expected:
        engine.cancel(run, trial.expected["cancel"])
    result = engine.wait(run, timeout=30)
    trial.check(result.status, result.output, result.error)
    if "order" in trial.expected:
        done = [
            e.step
            for e in engine.history(run)
            if e.type == "StepCompleted" and "~" in (e.step or "")
        ]
        assert [step for step in done if step != "~on_failure"] == trial.expected[
            "order"
        ]
    if "emitted" in trial.expected:
        wait_for(
            lambda: (
                "".join(x.value for x in engine.emitted(run))
                == trial.expected["emitted"]
            )
        )
    assert check_version(engine, trial.document).differing == ()


def test_the_store_is_in_order_after_all_examples(engine: Engine) -> None:
    wait_for(
        lambda: not [run for run in engine.runs(limit=500) if run.status == "running"]
    )
    assert engine.doctor() == []


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_an_example_does_the_same_in_memory_and_replays(trial: Trial) -> None:
    real: Any = load([str(COMPONENTS)])
    fast = {"demo.slow": "done"}
    begun = Play(
        trial.document,
        trial.inputs,
        real=[real],
        components=fast,
        workflows=trial.workflows,
    )
    for signal in () if begun.state.closed else trial.signals:
        key = signal.get("key", "").replace("{{run}}", "0-test") or None
        more = {"by": signal.get("by", "test"), "reason": signal.get("reason", "")}
        begun.signal(signal["name"], signal.get("payload"), key=key, **more)
    if "cancel" in trial.expected:
        begun.cancel(trial.expected["cancel"])
    begun.finish()
    if trial.name not in DEPENDS_ON_SPEED:
        trial.check(begun.status, begun.output, begun.error)
    assert replay(trial.document, json.loads(json.dumps(begun.history))) is None


DEPENDS_ON_SPEED = {
    "timeouts",
    "wcp-19-cancel-task",
    "wcp-25-cancel-region",
    "wcp-26-cancel-instances",
    "wcp-27-complete-instances",
    "wcp-34-partial-join-for-instances",
    "wcp-35-cancelling-partial-join-for-instances",
}
"""Examples in which a component takes time: in memory none does, so another branch may win."""


def test_the_table_of_patterns_lists_each_document_and_nothing_else() -> None:
    table = (ROOT / "docs" / "explanation" / "patterns.md").read_text()
    linked = re.findall(r"examples/patterns/(wcp-(\d\d)-[a-z-]+)\.json", table)
    assert {name for name, _ in linked} == {
        path.stem for path in PATTERNS.glob("*.json")
    }
    assert {int(number) for _, number in linked} == LISTED
