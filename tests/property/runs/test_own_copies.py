"""A component that changes everything it is given changes nothing of its run, its siblings, or what is done again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eventstore import codec
from openagents_json import Context, Registry
from openagents_json.components.copies import own_copy
from openagents_json.components.pool import InstancePool
from openagents_json.testing import Play, play

SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


def ruin(value: Any) -> None:
    """Change every object and array of a value, from the inside out."""
    if isinstance(value, dict):
        for member in list(value.values()):
            ruin(member)
        value.clear()
        value["ruined"] = ["secret"]
    elif isinstance(value, list):
        for item in value:
            ruin(item)
        value.clear()
        value.append("ruined")


def vandals() -> Registry:
    """Components that give back what they were given, and then go on changing it."""
    components = Registry()
    kept: list[Any] = []

    def take(context: Context, **values: Any) -> dict[str, Any]:
        for value in kept:
            ruin(value)
        context.emit(values)
        given: dict[str, Any] = codec.normalise(values)
        ruin(values)
        ruin(dict(context.fences))
        kept.append(given)
        return given  # the next call changes it

    async def take_async(context: Context, **values: Any) -> dict[str, Any]:
        return take(context, **values)

    @components.agent("v")
    class Vandal:
        @components.capability("take")
        def method(self, value: list, inner: dict, context: Context) -> dict[str, Any]:  # type: ignore[type-arg]
            return take(context, value=value, inner=inner)

    components.tool("take")(take)
    components.tool("take_async")(take_async)
    return components


def document(component: str) -> dict[str, Any]:
    inputs = {
        "value": "{{input.value}}",
        "inner": {"deep": ["{{input.value}}", "{{input.items}}"]},
    }
    return {
        "id": "w",
        "execution": "graph",
        "steps": [
            {"id": "a", "component": component, "inputs": inputs},
            {"id": "b", "component": component, "inputs": inputs},
            {
                "id": "c",
                "component": component,
                "inputs": {**inputs, "inner": "{{a.output}}"},
            },
            {
                "id": "each",
                "foreach": "{{input.items}}",
                "component": component,
                "inputs": {"value": ["{{item}}"], "inner": {"all": "{{input.items}}"}},
            },
        ],
        "output": {
            "a": "{{a.output}}",
            "b": "{{b.output}}",
            "c": "{{c.output}}",
            "each": "{{each.output}}",
        },
    }


def expected(value: Any, items: list[Any]) -> dict[str, Any]:
    first = {"value": value, "inner": {"deep": [value, items]}}
    each = [{"value": [item], "inner": {"all": items}} for item in items]
    return {"a": first, "b": first, "c": {"value": value, "inner": first}, "each": each}


COMPONENTS = st.sampled_from(["take", "take_async", "v.take"])


@given(st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3), COMPONENTS)
def test_nothing_that_a_component_does_to_its_inputs_is_seen_elsewhere(
    value: list[Any], items: list[Any], component: str
) -> None:
    whole = codec.normalise({"value": value, "items": items})
    played = play(
        document(component), {"value": value, "items": items}, real=[vandals()]
    )
    played.assert_completed(expected(whole["value"], whole["items"]))
    assert played.state.inputs == whole
    for _, _, shown in played.world.emitted:
        assert "ruined" not in repr(shown)
    assert "ruined" not in repr((played.history, played.calls()))
    # What the state says is what its events say: a replay reuses everything.
    before = len(played.calls())
    played.run_again()
    played.assert_completed(expected(whole["value"], whole["items"]))
    assert len(played.calls()) == before


@given(VALUES, VALUES)
def test_stand_ins_and_tests_have_copies_too(value: Any, other: Any) -> None:
    whole = codec.normalise([value, other])

    def stand_in(value: Any, other: Any) -> Any:
        ruin([value, other])
        return fixed

    fixed = codec.normalise({"fixed": value})
    given_inputs = {"value": value, "other": other}
    doc = {
        "id": "w",
        "steps": [
            {
                "id": step,
                "component": "x",
                "inputs": {"value": "{{input.value}}", "other": "{{input.other}}"},
            }
            for step in "ab"
        ],
        "output": ["{{input.value}}", "{{a.output}}", "{{b.output}}"],
    }
    played = Play(doc, given_inputs, components={"x": stand_in})
    ruin(given_inputs)
    ruin(played.output)
    ruin(fixed)
    for call in played.calls("x"):
        ruin(call.inputs)
    played.retry("b")
    assert played.output[:2] == [whole[0], {"fixed": whole[0]}]
    assert played.state.inputs == {"value": whole[0], "other": whole[1]}


@given(VALUES)
def test_each_instance_has_its_own_configuration(value: Any) -> None:
    config = {"value": value}
    whole = codec.normalise(config)

    class Agent:
        def __init__(self, config: Any) -> None:
            self.seen = codec.normalise(config)
            ruin(config)

    pool = InstancePool(Agent, config)
    with pool.borrowed() as one, pool.borrowed() as other:
        assert one.seen == other.seen == whole
    assert config == whole


@given(VALUES)
def test_a_copy_is_equal_and_shares_no_container(value: Any) -> None:
    copy = own_copy(value)
    assert copy == value
    mine, theirs = {id(x) for x in containers(copy)}, {id(x) for x in containers(value)}
    assert not mine & theirs


def containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for member in value.values() if isinstance(value, dict) else value:
            yield from containers(member)
