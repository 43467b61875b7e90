"""How long the largest documents take to validate: one of each form, at the limits of workflow/language/sizes.py.

python benchmarks/validation.py
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from openagents_json.workflow.language.sizes import MAX_EDGES, MAX_EXPRESSIONS, MAX_STEPS, MAX_VALUES
from openagents_json.workflow.language.validate import validate

SECONDS = 2.0


def document(count: int, **options: Any) -> dict[str, Any]:
    """Give a document of many steps; options that can be called get the number of the step."""
    steps = [
        {
            "id": f"s{i}",
            "component": "c",
            **{key: value(i) if callable(value) else value for key, value in options.items()},
        }
        for i in range(count)
    ]
    return {"id": "w", "version": "1.0.0", "steps": steps}


def before(number: int) -> str:
    """Give a reference to the step before."""
    return f"{{{{ s{number - 1}.output ~ '{number}' }}}}" if number else "x"


def largest() -> dict[str, dict[str, Any]]:
    """Give the largest document of each form, valid ones and such as are wrong everywhere."""
    each = MAX_EXPRESSIONS // MAX_STEPS
    ends = [(i, i + 1 + k) for i in range(MAX_STEPS - 8) for k in range(MAX_EDGES // MAX_STEPS)]
    blocks = [{"id": f"b{i}", "steps": [{"id": f"s{i}", "component": "c"}]} for i in range(MAX_STEPS // 2)]
    return {
        "expressions": document(MAX_STEPS, inputs=lambda i: {f"k{k}": before(i) for k in range(each)}),
        "values": document(MAX_STEPS, inputs={"x": [1] * (MAX_VALUES // MAX_STEPS - 6)}),
        "edges": document(MAX_STEPS, depends_on=lambda i: [f"s{i - k}" for k in range(1, 5) if i >= k]),
        "connections": {
            **document(MAX_STEPS),
            "connections": [{"source": f"s{a}.output", "target": f"s{b}.x{b - a}"} for a, b in ends][:MAX_EDGES],
        },
        "blocks": {"id": "w", "steps": blocks},
        "misspelt": document(MAX_STEPS, inputs=lambda i: {f"k{k}": f"{{{{ t{i}.y }}}}" for k in range(each)}),
        "doubled": document(MAX_STEPS, id="same"),
        "wrong": document(MAX_STEPS, timeout="x", componet="c", retry={"max_retris": 1}),
        "circle": document(MAX_STEPS, depends_on=lambda i: [f"s{(i + 1) % MAX_STEPS}"]),
    }


def main() -> int:
    """Say how long each took; fail when one took too long."""
    slow = 0
    for name, value in largest().items():
        text = json.dumps(value)
        begun = time.process_time()
        report = validate(text)
        seconds = time.process_time() - begun
        slow += seconds > SECONDS
        print(f"{name:12} {len(text) / 1e6:5.2f} MB {len(report.problems):5} problems {seconds:6.2f} s")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
