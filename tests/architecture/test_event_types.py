"""What an event type is like is said on the type alone; who has a table of types beside it has all of them in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

from cli.following import EXIT
from openagents_json import work_index
from openagents_json.statuses import (
    CLAIMED_RUN,
    CLOSED_RUN,
    ENDS,
    OPEN_STEP,
    RunStatus,
    StepStatus,
)
from openagents_json.workflow.core import commands, events, evolve
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide import decider, takeover
from openagents_json.workflow.core.event_traits import (
    ENDS_ATTEMPT,
    RESOLVES_STEP,
    Attempt,
    Effect,
    Origin,
    Phase,
    Subject,
    Traits,
    traits_of,
)
from openagents_json.workflow.core.event_types import (
    CLOSED_AS,
    DEFINES,
    EVENT_TYPES,
    SCHEDULES,
    names_by_attempt,
    names_of,
    names_with,
    to_data,
    types_with,
)
from openagents_json.workflow.core.indexes import changes, timers
from projections import runs, steps
from tests.architecture.test_house import ROOMS, ROOT, sources

LUA = sorted((ROOT / "eventstore" / "redis" / "lua").glob("*.lua"))


def declared(module: ModuleType) -> set[type]:
    return {
        cls
        for cls in vars(module).values()
        if isinstance(cls, type) and cls.__module__ == module.__name__
    }


def test_each_event_that_is_declared_is_in_the_union_and_says_what_it_is_like() -> None:
    assert declared(events) == set(EVENT_TYPES)
    assert [
        cls.__name__ for cls in EVENT_TYPES if "__event_traits__" not in vars(cls)
    ] == []


def test_each_event_is_folded() -> None:
    assert evolve.FOLDS.keys() == set(EVENT_TYPES)


def test_each_command_is_decided() -> None:
    decided = [*decider.BY_THEMSELVES, *decider.BEHIND_THE_REST]
    assert sorted(decided, key=str) == sorted(get_args(commands.Command), key=str)
    assert declared(commands) == {*decided, *get_args(commands.Outcome)}


def test_each_event_that_says_so_changes_the_indexes() -> None:
    moving = types_with(
        lambda traits: (
            Effect.READIES in traits.effects or traits.attempt in RESOLVES_STEP
        )
    )
    assert changes.STEP_INDEX.keys() == moving
    timed = types_with(lambda traits: Effect.DUE in traits.effects)
    assert timers.STEP_DUE.keys() | timers.RUN_DUE.keys() == timed
    assert timers.RUN_DUE.keys() == timed & types_with(
        lambda traits: traits.subject is Subject.RUN
    )


def test_each_event_that_waits_for_something_is_known_where_a_run_is_taken_over() -> (
    None
):
    """What is lost there is begun anew, and what fails waits for its steps alone: neither has a time of its own."""
    waiting = types_with(
        lambda traits: (
            traits.phase is Phase.OPENS
            or traits.attempt is Attempt.BEGUN
            or bool(traits.effects & (Effect.READIES | Effect.WAITS))
        )
    )
    timeless = {events.StepLeaseLost, events.RunFailing}
    assert takeover.NOTED.keys() == waiting - timeless | {events.RunQueued}


def test_each_event_that_moves_a_step_is_in_the_view_of_steps() -> None:
    moving = names_with(
        lambda traits: (
            Effect.READIES in traits.effects
            or traits.attempt not in (None, Attempt.LATE)
        )
    ) | names_of((events.RunForked, events.RunImported))
    assert steps.MOVES.keys() == moving
    assert moving | DEFINES | CLOSED_AS.keys() == steps.TYPES


def test_each_event_about_a_run_is_in_the_view_of_runs() -> None:
    assert (
        runs.RUNS.types
        == names_with(lambda traits: traits.subject is Subject.RUN) | runs.LEFT
    )
    assert set(runs.STATUSES) == set(get_args(RunStatus)) - {st.NEW}


@pytest.mark.parametrize(
    "event_type", EVENT_TYPES, ids=lambda event_type: event_type.__name__
)
def test_what_an_event_says_of_itself_fits_together(
    event_type: type[events.Event],
) -> None:
    traits, names = traits_of(event_type), event_type.__annotations__
    assert set(traits.payloads) <= names.keys()
    assert (traits.phase is Phase.CLOSES) == (traits.status in CLOSED_RUN)
    assert traits.phase is not Phase.OPENS or traits.status == st.RUNNING
    assert traits.attempt not in ENDS_ATTEMPT or "attempt" in names
    assert traits.attempt is None or "step" in names
    assert (
        not traits.effects & (Effect.READIES | Effect.SCHEDULES)
        or SCHEDULES.get(event_type.__name__, "step") in names
    )
    assert traits.origin is not Origin.NOTE or not traits.payloads
    assert (traits.subject is Subject.RUN) == event_type.__name__.startswith("Run")


def test_no_attempt_is_forgotten() -> None:
    with pytest.raises(KeyError):
        names_by_attempt(
            {attempt: "" for attempt in Attempt if attempt is not Attempt.LATE}
        )


def test_traits_have_no_default() -> None:
    with pytest.raises(TypeError):
        Traits(subject=Subject.RUN, origin=Origin.FACT)  # type: ignore[call-arg]


# -- statuses ------------------------------------------------------------------------------------------------


def test_each_status_has_a_constant_and_no_other_is_one() -> None:
    constants = {value for value in vars(st).values() if isinstance(value, str)}
    statuses = {
        *get_args(RunStatus),
        *(status for part in get_args(StepStatus) for status in get_args(part)),
    }
    assert statuses <= constants
    assert statuses >= CLOSED_RUN | CLAIMED_RUN | OPEN_STEP
    assert EXIT.keys() == CLOSED_RUN == set(ENDS)


def collections_of_names(path: Path) -> Iterator[tuple[int, set[object]]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Set | ast.Tuple | ast.List):
            yield (
                node.lineno,
                {item.value for item in node.elts if isinstance(item, ast.Constant)},
            )


def test_which_runs_are_closed_or_claimed_is_said_once() -> None:
    again = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources(*ROOMS)
        for line, names in collections_of_names(path)
        if (names >= CLOSED_RUN or names >= CLAIMED_RUN) and path.name != "statuses.py"
    ]
    assert again == []


def test_no_module_spells_the_name_of_an_event() -> None:
    """A name in quotes that is wrong, or was changed, is never equal to anything; `ev.RunStarted.__name__` fails.

    A store does not know events, but for the one that it writes by itself; its contract suite has some as examples.
    """
    assert events.StepStarted.__name__ == work_index.STARTED
    names = names_of(EVENT_TYPES)
    others = [
        path
        for path in sources(*ROOMS)
        if path.name != "work_index.py"
        and path.parent != ROOT / "eventstore" / "testing"
    ]
    spelled = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value}"
        for path in others
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert spelled == []


# -- what the scripts of the store know ------------------------------------------------------------------------


def tables(name: str) -> dict[str, set[str]]:
    """Return the tables of that name in the scripts, by the name of the script."""
    pattern = re.compile(rf"^local {name} = \{{([^}}]*)\}}", re.MULTILINE)
    return {
        path.name: set(re.findall(r"(\w+) = true", table))
        for path in LUA
        for table in pattern.findall(path.read_text())
    }


def test_scripts_know_the_same_statuses() -> None:
    closed, claimed = tables("CLOSED"), tables("OPEN")
    assert set(map(frozenset, closed.values())) == {CLOSED_RUN}
    assert set(map(frozenset, claimed.values())) == {CLAIMED_RUN}


def test_scripts_name_events_as_they_are_called() -> None:
    name = re.compile(r"'((?:Run|Step|Child|Timer|Signal)[A-Z]\w+)'")
    quoted = {
        event_name for path in LUA for event_name in name.findall(path.read_text())
    }
    assert quoted == {events.StepStarted.__name__, events.RunRedacted.__name__}


def test_scripts_write_a_start_with_all_of_its_fields() -> None:
    [body] = re.findall(
        r"^local function started\(.*?^end",
        (LUA[0].parent / "runs_common.lua").read_text(),
        re.S | re.M,
    )
    stored = to_data(events.StepStarted("a", 1, "1", "w", build="b"))
    assert re.findall(r'"(\w+)":', body) == sorted(stored)
