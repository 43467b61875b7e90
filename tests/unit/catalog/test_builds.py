"""Builds of components: what names them, and where the histories of runs say that one was replaced by another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openagents_json import agent, capability, tool
from openagents_json.catalog.loader import load
from openagents_json.catalog.registry import Registry
from openagents_json.workflow.component_spec import from_json, to_json
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.history.builds import (
    BuildDifference,
    changes_of_build,
    differences_of_build,
)

SOURCE = "from openagents_json import tool\n\n@tool('pay')\ndef pay() -> int:\n    return {}\n"


def loaded(folder: Path, name: str, result: int) -> Registry:
    file = folder / f"{name}.py"
    file.write_text(SOURCE.format(result))
    return load([str(file)], announced=False)


def test_a_build_is_a_hash_of_the_file(tmp_path: Path) -> None:
    one, same, other = (
        loaded(tmp_path, name, result)
        for name, result in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one.build("pay") == same.build("pay") != other.build("pay")
    assert one.fingerprint == same.fingerprint != other.fingerprint


CLERK = """
from openagents_json import agent, capability

@agent("clerk", version="{0}.0.0")
class Clerk:
    number = {0}

    @capability()
    def file(self) -> None: ...
"""


def test_another_build_of_a_class_gets_no_instance_of_the_one_before(
    tmp_path: Path,
) -> None:
    registries = []
    for number in (1, 2):
        file = tmp_path / f"clerk{number}.py"
        file.write_text(CLERK.format(number))
        registries.append(load([str(file)], announced=False))
    together = Registry()
    for registry in registries:
        old_or_new = instance_of(registry, "clerk.file")
        assert instance_of(registry, "clerk.file") is old_or_new
        together.add(type(old_or_new))
    numbers = [instance_of(x, "clerk.file").number for x in registries]
    beside = [instance_of(together, f"clerk.file@{n}").number for n in (1, 2)]
    assert numbers == beside == [1, 2]


def instance_of(registry: Registry, reference: str) -> Any:
    """Return the instance that the next call has."""
    pool = registry.resolve(reference).pool
    assert pool is not None
    with pool.borrowed() as thing:
        return thing


def test_code_without_a_file_has_a_build_too() -> None:
    def made(result: int) -> Registry:
        names: dict[str, Any] = {}
        exec(SOURCE.format(result), names)
        registry = Registry()
        registry.add(names["pay"])
        return registry

    assert made(1).build("pay") == made(1).build("pay") != made(2).build("pay") != ""


def test_a_deployment_names_the_builds_that_say_none_of_their_own(
    tmp_path: Path,
) -> None:
    @agent("clerk", build="image@1")
    class Clerk:
        @capability()
        def file(self) -> None: ...

    @tool("stamp", build="v7")
    def stamp() -> None: ...

    registry = loaded(tmp_path, "d", 1)
    registry.add(load(()))
    registry.add(Clerk)
    registry.add(stamp)
    before = registry.fingerprint
    registry.deployed_as("4f2a")
    names = ("pay@^0", "clerk.file", "stamp")
    assert [registry.build(name) for name in names] == ["4f2a", "image@1", "v7"]
    assert registry.build("http.request") not in ("", "4f2a")
    assert registry.fingerprint != before
    assert registry.build("nothing") == ""
    spec = registry.resolve("pay").spec
    assert from_json(to_json(spec)) == spec


def begun(step: str, attempt: int, build: str) -> ev.StepStarted:
    return ev.StepStarted(step, attempt, "1", "w", build)


def component(step: str) -> str:
    return f"{step[0]}@^1"


def test_a_change_of_build_within_a_run_names_the_attempt() -> None:
    events = [
        begun("a", 1, "x"),
        begun("b", 1, "x"),
        begun("a2", 1, ""),
        begun("a2", 2, "y"),
        begun("a3", 1, "y"),
    ]
    [change] = changes_of_build(events, component)
    assert (change.component, change.step, change.attempt) == ("a@^1", "a2", 2)
    assert (change.before, change.after) == ("x", "y")


def test_runs_differ_in_builds_where_both_say_theirs() -> None:
    one = [begun("a", 1, "x"), begun("b", 1, "x"), begun("c", 1, "")]
    other = [begun("a", 1, "y"), begun("b", 1, "x"), begun("c", 1, "z")]
    differences = differences_of_build((one, component), (other, component))
    assert differences == (BuildDifference("a", ("x",), ("y",)),)
