"""How long the largest documents take to validate: one of each form, at the limits of workflow/language/sizes.py.

python benchmarks/validation.py
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from openagents_json.workflow.component_spec import ComponentSpec, Parameter
from openagents_json.workflow.language.parse import MAX_DEPTH
from openagents_json.workflow.language.sizes import (
    MAX_EDGES,
    MAX_EXPRESSION_TEXT,
    MAX_EXPRESSIONS,
    MAX_STEPS,
    MAX_VALUES,
)
from openagents_json.workflow.language.validate import validate
from openagents_json.workflow.validation.session import ValidationSession

SECONDS = 2.0


def document(count: int, **options: Any) -> dict[str, Any]:
    """Return a document of many steps; options that can be called get the number of the step."""
    steps = [
        {
            "id": f"s{i}",
            "component": "c",
            **{
                key: value(i) if callable(value) else value
                for key, value in options.items()
            },
        }
        for i in range(count)
    ]
    return {"id": "w", "version": "1.0.0", "steps": steps}


def before(number: int) -> str:
    """Return a reference to the step before."""
    return f"{{{{ s{number - 1}.output ~ '{number}' }}}}" if number else "x"


def largest() -> dict[str, dict[str, Any]]:
    """Return the largest document of each form, valid ones and such as are wrong everywhere."""
    each = MAX_EXPRESSIONS // MAX_STEPS
    ends = [
        (i, i + 1 + k)
        for i in range(MAX_STEPS - 8)
        for k in range(MAX_EDGES // MAX_STEPS)
    ]
    blocks = [
        {"id": f"b{i}", "steps": [{"id": f"s{i}", "component": "c"}]}
        for i in range(MAX_STEPS // 2)
    ]
    return {
        "expressions": document(
            MAX_STEPS, inputs=lambda i: {f"k{k}": before(i) for k in range(each)}
        ),
        "values": document(
            MAX_STEPS, inputs={"x": [1] * (MAX_VALUES // MAX_STEPS - 6)}
        ),
        "edges": document(
            MAX_STEPS, depends_on=lambda i: [f"s{i - k}" for k in range(1, 5) if i >= k]
        ),
        "connections": {
            **document(MAX_STEPS),
            "connections": [
                {"source": f"s{a}.output", "target": f"s{b}.x{b - a}"} for a, b in ends
            ][:MAX_EDGES],
        },
        "blocks": {"id": "w", "steps": blocks},
        "misspelt": document(
            MAX_STEPS,
            inputs=lambda i: {f"k{k}": f"{{{{ t{i}.y }}}}" for k in range(each)},
        ),
        "doubled": document(MAX_STEPS, id="same"),
        "wrong": document(
            MAX_STEPS, timeout="x", componet="c", retry={"max_retris": 1}
        ),
        "circle": document(MAX_STEPS, depends_on=lambda i: [f"s{(i + 1) % MAX_STEPS}"]),
        **dense_expressions(),
        **dense_values(),
        **all_wrong(),
    }


def dense_expressions() -> dict[str, dict[str, Any]]:
    """Return the largest documents whose size is in their expressions."""
    long = 3_900
    count = MAX_EXPRESSION_TEXT // (long + 100)
    chain = " + ".join(["1"] * 190)
    piped = "input.a" + " | upper" * 190
    both = " and ".join(["input.a > 1"] * 190)
    return {
        "operators": document(300, inputs=lambda i: {"x": f"{{{{ {i} + {chain} }}}}"}),
        "filters": document(150, inputs=lambda i: {"x": f"{{{{ {i} + {piped} }}}}"}),
        "comparisons": document(80, condition=lambda i: f"{i} > 0 and {both}"),
        "hyphens": document(
            count,
            id=lambda i: f"a-{i}",
            inputs=lambda i: {"x": f"{{{{ b{i} + a{'-a' * (long // 2)} }}}}"},
        ),
        "list": document(
            count, inputs=lambda i: {"x": f"{{{{ [{i}{',1' * (long // 2)}] }}}}"}
        ),
        "long path": document(
            count, inputs=lambda i: {"x": f"{{{{ input.a{i}{'.b' * (long // 2)} }}}}"}
        ),
        "minus": document(count, inputs=lambda i: {"x": f"{{{{ {i} {'-' * 150}1 }}}}"}),
        "brackets": document(
            2_000, inputs=lambda i: {"x": "{{ " + "(" * 39 + f"{i}" + ")" * 39 + " }}"}
        ),
        "conditions": document(
            MAX_STEPS, condition=lambda i: f"s{i - 1}.output.x > {i}" if i else "true"
        ),
        "one text": document(1, inputs={"x": "a {{input.a}} b " * MAX_EXPRESSIONS}),
        "odd ids": document(
            MAX_STEPS // 2,
            id=lambda i: f"s-{i}",
            inputs=lambda i: {"x": f"{{{{ s-{i - 1}.output }}}}" if i else "x"},
        ),
    }


def dense_values() -> dict[str, dict[str, Any]]:
    """Return the largest documents whose size is in few places: long texts and names, deep nesting, many options."""
    return {
        **deep_documents(),
        **long_texts(),
        **many_options(),
    }


def deep_documents() -> dict[str, dict[str, Any]]:
    """Return the most deeply nested documents, and one of many edges between few steps."""
    deep: Any = 1
    for _ in range(MAX_DEPTH - 8):
        deep = {"n": deep}
    levels = MAX_DEPTH // 2 - 4
    ladder = [
        {
            "id": f"s{i}",
            "component": "c",
            "depends_on": [f"s{k}" for k in range(max(0, i - 40), i)],
        }
        for i in range(500)
    ]
    return {
        "deep values": document(1_000, inputs={"x": deep}),
        "deep blocks": nested(levels, MAX_STEPS // levels - 1),
        "ladder": {
            "id": "w",
            "version": "1.0.0",
            "execution": "graph",
            "steps": ladder,
        },
    }


def long_texts() -> dict[str, dict[str, Any]]:
    """Return documents of long names, ids, texts and numbers."""
    names = {f"{'n' * 2_000}{i}": [1, 2, 3, 4] for i in range(1_900)}
    return {
        "long names": document(1, inputs=names),
        "long ids": document(
            60, id=lambda i: f"s{i}" + "x" * 100, inputs={"x" * 3_000: [[1] * 80]}
        ),
        "one long text": document(1, inputs={"x": "{ " * 1_500_000}),
        "numbers": document(3, inputs={"x": [10**4_000] * 200}),
    }


def many_options() -> dict[str, dict[str, Any]]:
    """Return documents whose steps or inputs have many options each."""
    inputs = {f"i{n}": {"type": "string", "default": "x"} for n in range(30_000)}
    waits = [
        {"id": f"s{i}", "wait_for": {"any": ["go", {"seconds": 5}]}}
        for i in range(MAX_STEPS // 2)
    ]
    handler = {"errors": ["A", "B"], "then": "continue", "output": 1}
    retry = {"max_retries": 3, "delay_seconds": 1, "retry_on": ["A"] * 8}
    return {
        "handlers": document(MAX_STEPS // 3, on_error=[handler] * 4),
        "inputs": {**document(1), "inputs": inputs},
        "waits": {"id": "w", "steps": waits},
        "retries": document(MAX_STEPS, retry=retry),
    }


def all_wrong() -> dict[str, dict[str, Any]]:
    """Return large documents that are wrong in many places."""
    return {
        "secrets": document(
            MAX_STEPS, inputs={"x": {"{{ secrets.A }}": 1}, "y": "{{secrets.B}}"}
        ),
        "broken": document(
            2_400,
            inputs={
                "x": "{{ a + }}",
                "y": "{{ (( }}",
                "z": "{{ input.nope.x }}",
                "q": "{{ x y }}",
            },
        ),
        "misspelt, long": document(
            MAX_STEPS,
            id=lambda i: f"{'long' * 50}{i}",
            depends_on=lambda i: [f"{'lnog' * 50}{i}"],
        ),
        "quotes": document(1, inputs={"x": "{{ ' }} " * 9_000}),
    }


def nested(depth: int, breadth: int) -> dict[str, Any]:
    """Return blocks in blocks, each with many steps beside the next one."""
    inner: list[dict[str, Any]] = [{"id": "end", "component": "c"}]
    for level in range(depth):
        beside = [{"id": f"s{level}-{i}", "component": "c"} for i in range(breadth)]
        inner = [*beside, {"id": f"b{level}", "steps": inner}]
    return {"id": "w", "version": "1.0.0", "steps": inner}


def main() -> int:
    """Say how long each took; fail when one took too long."""
    slow = 0
    for name, value in largest().items():
        text = json.dumps(value)
        begun = time.process_time()
        report = validate(text)
        seconds = time.process_time() - begun
        slow += seconds > SECONDS
        kinds = ", ".join(sorted({problem.code for problem in report.problems})[:3])
        print(
            f"{name:13} {len(text) / 1e6:5.2f} MB {len(report.problems):5} problems {seconds:6.2f} s  {kinds}"
        )
    return 1 if slow or editing() else 0


RATIO = 50
"""How many times longer a check from scratch takes than one after an edit of a step, at least."""

EDIT_SECONDS = 0.002
"""What a check after an edit of one of 1,000 steps may take."""


class Components:
    """A catalog of one component, so that what steps are given is compared with what it takes."""

    spec = ComponentSpec(
        "c", inputs=(Parameter("x"), Parameter("n", "integer")), output="string"
    )

    def find(self, reference: str) -> ComponentSpec | None:
        """Return the component."""
        return self.spec if reference == "c" else None

    def names(self) -> list[str]:
        """Return its name."""
        return ["c"]


def editing() -> bool:
    """Say what checks after an edit of one step take beside one from scratch; tell whether that is too much."""
    edited = document(1_000, inputs=lambda i: {"x": before(i), "n": i}, timeout=30)
    edited["inputs"] = {"unused": {"type": "string"}}
    edited["outputs"] = {"last": {"source": "{{s999.output}}"}}
    text = json.dumps(edited, indent=2)
    is_slow = False
    for catalog in (None, Components()):
        scratch = median(seconds_of(partial(validate, text, catalog)) for _ in range(5))
        session = ValidationSession(catalog)
        session.check(text)
        texts = [text.replace('"n": 500', f'"n": {1_000 + i}') for i in range(50)]
        edit = median(seconds_of(partial(session.check, each)) for each in texts)
        ratio = scratch / edit
        is_slow = is_slow or ratio < RATIO or edit > EDIT_SECONDS
        kind = "with components" if catalog else "by itself"
        print(
            f"editing one of 1,000 steps, {kind}: {edit * 1e3:.2f} ms (median); "
            f"from scratch: {scratch * 1e3:.0f} ms, {ratio:.0f} times as long"
        )
    largest_text = json.dumps(document(MAX_STEPS, inputs=lambda i: {"x": before(i)}))
    print(f"{MAX_STEPS:,} steps: {seconds_of(lambda: validate(largest_text)):.2f} s")
    return is_slow


def seconds_of(work: Callable[[], object]) -> float:
    """Return the time of the processor that something takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main())
