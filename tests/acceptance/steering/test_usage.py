"""What runs use, and what they may use, by commands."""

from __future__ import annotations

import json
from pathlib import Path

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from tests.acceptance.processes import openagents
from tests.conftest import wait_for

COMPONENTS = """
from openagents_json import Context, tool


@tool("ask")
def ask(context: Context, cost: str) -> str:
    context.usage(model="\\x1b[31mlarge", input_tokens=1200, output_tokens=30, cost=cost)
    return cost
"""


def test_a_run_over_its_budget_asks_and_its_usage_is_shown(tmp_path: Path) -> None:
    (tmp_path / "c.py").write_text(COMPONENTS)
    steps = [
        {"id": name, "component": "ask", "inputs": {"cost": "0.0105"}} for name in "abc"
    ]
    document = {"id": "research", "steps": steps, "output": "done"}
    (tmp_path / "w.json").write_text(json.dumps(document))
    run = ["run", "w.json", "-c", "c.py", "--label", "team=x"]
    components = load([str(tmp_path / "c.py")])
    with Engine.embedded(tmp_path / ".openagents", components=components) as engine:
        over = openagents(*run, "--budget", "cost=0.02", "--json", folder=tmp_path)
        assert over.returncode == 1
        assert json.loads(over.stdout)["error"]["type"] == "BudgetExceeded"
        budget = {"tokens": 2000, "on_exceeded": "ask"}
        asking = engine.start(document, labels={"team": "x"}, budget=budget)
        wait_for(lambda: engine.state(asking).status == "paused")
        shown = openagents("runs", "show", asking, folder=tmp_path).stdout
        assert "tokens 2,460 of 2,000" in " ".join(shown.split())
        assert "2,400 tokens in, 60 out, cost 0.021" in shown
        assert "1,200 tokens in, 30 out, cost 0.0105" in shown
        answer = ["signal", asking, "budget", "--payload", '{"approve": true}']
        done = openagents("runs", *answer, "--wait", "-c", "c.py", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        by_workflow = openagents("usage", folder=tmp_path).stdout.split()
        assert by_workflow[-5:] == ["research", "5", "6,000", "150", "0.0525"]
        by_model = openagents("usage", "--by", "model", folder=tmp_path).stdout
        assert ("large" in by_model, "\x1b[31m" in by_model) == (True, False)
        by_label = openagents("usage", "--by", "label", "--json", folder=tmp_path)
        assert json.loads(by_label.stdout) == [
            {
                "name": "team=x",
                "attempts": 5,
                "input_tokens": 6000,
                "output_tokens": 150,
                "cost": "0.0525",
            }
        ]
        wrong = openagents(*run, "--budget", "euro=1", folder=tmp_path)
        assert (wrong.returncode, "a budget has no 'euro'" in wrong.stderr) == (5, True)
