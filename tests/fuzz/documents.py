"""Documents: whatever they are, a report; the same in every form; and what is valid can be run to an end or a wait."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from random import Random
from typing import Any

from eventstore import codec
from openagents_json.catalog.registry import Registry
from openagents_json.simulation.errors import Stuck
from openagents_json.simulation.lives import SimulatedRun
from openagents_json.simulation.stubs import Stubs
from openagents_json.simulation.world import World
from openagents_json.workflow.core.commands import (
    Advance,
    CancelRun,
    Command,
    ReopenRun,
    SendSignal,
)
from openagents_json.workflow.core.event_types import from_data, to_data, type_name
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.parameters import check_inputs
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.core.state import initial
from openagents_json.workflow.errors import InvalidInputs, NotADocument, Rejected
from openagents_json.workflow.language.bind import bind
from openagents_json.workflow.language.compile import compile_plan
from openagents_json.workflow.language.parse import parse
from openagents_json.workflow.language.problems import MOST, Report
from openagents_json.workflow.language.validate import validate
from tests.fuzz.mutations import mutate_bytes, mutate_json
from tests.fuzz.shrinking import smaller_json
from tests.fuzz.stand_ins import AnyComponent, Anything, Moody

STEPS_AT_MOST = 400
"""How many steps and timers of a run are played: a document may mean a run without end."""

SIGNALS = 12
WORDS = (
    *(
        "id",
        "steps",
        "component",
        "inputs",
        "c",
        "a",
        "b",
        "other",
        "a.output",
        "depends_on",
        "condition",
        "join",
    ),
    *(
        "foreach",
        "loop",
        "until",
        "while",
        "max_iterations",
        "sleep",
        "wait_for",
        "signal",
        "terminate",
        "workflow",
    ),
    *(
        "on_error",
        "then",
        "continue",
        "fail",
        "goto",
        "compensate",
        "mutex",
        "rate_limit",
        "key",
        "limit",
        "priority",
    ),
    *(
        "timeout",
        "timeouts",
        "retry",
        "max_attempts",
        "delay_seconds",
        "jitter",
        "output",
        "outputs",
        "source",
        "target",
    ),
    *(
        "concurrency",
        "debounce",
        "persistence",
        "checkpoint",
        "outcome",
        "on_failure",
        "execution",
        "graph",
        "effect",
    ),
    *(
        "{{a.output}}",
        "{{ input.x }}",
        "{{item}}",
        "{{index}}",
        "{{",
        "}}",
        "${a}",
        "\\{{",
        "{{secrets.K}}",
    ),
    *(
        "{{ b.x | upper }}",
        "{{steps['a'].output}}",
        "{{ 9**9 }}",
        "{{ [1, 2] }}",
        "{{ a.output is none }}",
    ),
    *(
        "{{error.message}}",
        "{{value}}",
        "{{ workflow.run_id }}",
        "other@^1.0.0",
        "1.0.0",
        "^a+$",
        "(",
        "any",
        "string",
    ),
    *(
        "2030-01-01T00:00:00Z",
        "success",
        "failure",
        "at_most_once",
        "cancel_rest",
        "detached",
        "queue",
        "type",
        "enum",
    ),
)
OTHER = {"id": "other", "steps": [{"id": "o", "component": "c"}]}


COURSES: Mapping[str, Sequence[Command]] = {
    "well": [Advance()],
    "badly": [Advance(), ReopenRun()],
    "cancelled": [CancelRun("enough"), ReopenRun()],
    "again": [Advance(), ReopenRun(replay=True)],
}
"""What is asked of a run, each thing after all that came of the one before; of those but the first, components fail."""


class Documents:
    """The target."""

    name = folder = "documents"
    extension = ".json"

    def mutate(self, raw: bytes, others: Sequence[bytes], random: Random) -> bytes:
        """Change a value in it, or now and then some bytes."""
        value = _parsed(raw)
        if value is None or random.random() < 0.08:
            return mutate_bytes(raw, others, random)
        donors = [
            document
            for other in random.choices(others, k=3)
            if (document := _parsed(other)) is not None
        ]
        changed = mutate_json(value, donors or [value], WORDS, random)
        return json.dumps(changed, ensure_ascii=random.random() < 0.9).encode(
            "utf-8", "surrogatepass"
        )

    def smaller(self, raw: bytes) -> Iterator[bytes]:
        """Return smaller documents."""
        return smaller_json(raw)

    def check(self, raw: bytes) -> str:
        """Validate it in every form; run it if it is valid."""
        report = validate(raw)
        _check_report(report)
        told = sorted({problem.code for problem in report.problems})
        with suppress(NotADocument, RecursionError):
            _check_forms(parse(raw)[0], report)
        if report.valid:
            told.append(_check_run(report.document))
        return " ".join(told)


@lru_cache(maxsize=5_000)
def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None


def _check_report(report: Report) -> None:
    for problem in report.problems:
        assert problem.code, "a problem has a code"
        assert 0 < len(problem.message) < 2000, "a problem says something"
        assert problem.line is not None, "a problem of a text has a line"
    assert report.valid == (not report.errors)


def _check_forms(value: Any, report: Report) -> None:
    """The same document as a value, spread over lines, and with its names in another order has the same problems."""
    if isinstance(value, str):  # given as a value, it is a text again
        return
    problems = _problems(report)
    assert _problems(validate(value)) == problems, (
        "a parsed document has the same problems"
    )
    turned = _turned(value)
    assert _problems(validate(turned)) == problems, (
        "the order of names changes no problem"
    )
    try:
        text = json.dumps(value, indent=3, allow_nan=False)
    except (ValueError, RecursionError):
        return
    assert _problems(validate(text)) == problems, (
        "a document over lines has the same problems"
    )
    if not report.valid:
        return
    hashes = {_plan(form).hash for form in (report.document, text, turned)}
    assert len(hashes) == 1, "every form has one hash"


def _problems(report: Report) -> set[tuple[str, ...]] | int:
    """Return the problems without their places in a text; of very many, how many."""
    problems: set[tuple[str, ...]] = {
        (
            x.code,
            x.severity,
            x.pointer,
            x.message,
            repr(x.found),
            repr(x.expected),
            x.suggestion,
            str(x.step_id),
        )
        for x in report.problems
        if x.code != "duplicate_key"
    }
    return len(problems) if len(report.problems) >= MOST else problems


def _turned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(value)}
    return [_turned(item) for item in value] if isinstance(value, list) else value


def _plan(document: Any) -> Plan:
    return compile_plan(bind(document, AnyComponent()))


def _check_run(document: Any) -> str:
    """Play each course to an end or a wait, and one also as the store would give the definition back."""
    plan = _plan(document)
    ends = {course: _play(plan, course) for course in COURSES}
    stored = compile_plan(codec.decode(codec.encode(plan.definition)))
    assert _play(stored, "badly") == ends["badly"], (
        "a stored definition is the same as the given one"
    )
    return " ".join(told for told, _ in ends.values())


def _play(plan: Plan, course: str) -> tuple[str, Any]:
    components = Anything() if course == "well" else Moody()
    world = World(
        Stubs(components, Registry()), {"other": _plan(OTHER)}, 0, most=STEPS_AT_MOST
    )
    try:
        life = world.start("0-r", plan, check_inputs(plan, _inputs(plan.parameters)))
    except InvalidInputs:
        return "refused", None
    try:
        for _ in range(2 if course == "cancelled" else 0):
            if ready := world.claimable(life):
                world.perform(life, ready[0])
        for command in COURSES[course]:
            with suppress(Rejected):
                world.give(life, command)
            waits = _signalled(world, life)
            assert life.state.closed or waits, f"it stands still: {life.state.status}"
    except Stuck:
        return "no end", None
    _check_history(life)
    kinds = " ".join(sorted({type_name(event) for _, event in life.events}))
    error = re.sub(r"[^A-Za-z]", "", str((life.state.error or {}).get("type")))
    return f"{life.state.status} {error} {kinds}", life.state.output


def _signalled(world: World, life: SimulatedRun) -> bool:
    """Return a run the signals that it waits for, with all the time that it wants; tells whether it still waits."""
    for _ in range(SIGNALS):
        world.go_on(world.now_ms + 10**13)
        waits: list[Any] = [
            wait
            for path in life.state.open_steps
            for wait in life.state.steps[path].inputs.get("signals", ())
        ]
        if life.state.closed or not waits:
            return False
        with suppress(Rejected):
            world.give(
                life,
                SendSignal(
                    str(waits[0]["name"]),
                    {},
                    waits[0]["key"],
                    f"signal-{len(life.events)}",
                ),
            )
    return True


def _check_history(life: SimulatedRun) -> None:
    """What was written down, read back, comes to the same state."""
    stored = [
        (type_name(event), codec.encode(to_data(event)), at)
        for at, event in life.events
    ]
    again = evolve_all(
        initial(), [from_data(kind, codec.decode(raw), at) for kind, raw, at in stored]
    )
    assert again == life.state, "a history that is read back comes to the same state"


def _inputs(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs that are declared without a default something of their type."""
    values = {
        "string": "a",
        "number": 1,
        "integer": 1,
        "boolean": True,
        "object": {"x": 1},
        "array": [1, 2],
    }
    return {
        name: spec["enum"][0]
        if spec.get("enum")
        else values.get(str(spec.get("type")), "a")
        for name, spec in parameters.items()
        if isinstance(spec, Mapping) and "default" not in spec
    }
