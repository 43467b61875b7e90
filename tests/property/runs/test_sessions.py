"""A session says of a document what a check from scratch says, whatever was edited before."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from openagents_json.workflow.component_spec import ComponentSpec, Parameter
from openagents_json.workflow.language.validate import validate
from openagents_json.workflow.validation.session import ValidationSession
from tests.examples import examples

IDS = ("a", "b", "c-d", "c", "d", "c-d-e", "item", "x.y")
COMPONENTS = ("one", "many", "gone", "one@^1")


class Components:
    """Components whose inputs and results have types."""

    def find(self, reference: str) -> ComponentSpec | None:
        match reference.partition("@")[0]:
            case "one":
                inputs = (Parameter("x", "integer"), Parameter("y", required=False))
                return ComponentSpec("one", inputs=inputs, output="string")
            case "many":
                return ComponentSpec("many", output="array")
        return None

    def names(self) -> list[str]:
        return ["one", "many"]


def texts() -> st.SearchStrategy[str]:
    names = st.sampled_from([*IDS, "input.p", "input.q", "inputs", "item", "index"])
    tails = st.sampled_from(["", ".output", ".outputs.o", ".o", ".success", "['o']"])
    path = st.builds("{}{}".format, names, tails)
    forms = st.sampled_from(
        ["{{{{{}}}}}", "${{{}}}", "{{{{ {} or 1 }}}}", "t {{{{{}}}}}", "{}", "{{{{ {} "]
    )
    templates = st.builds(lambda form, inner: form.format(inner), forms, path)
    odd = st.sampled_from(["{{ 1 - }}", "{{steps['\\x61'].output}}", "5", "no"])
    return st.one_of(templates, templates, templates, odd)


def steps() -> st.SearchStrategy[Any]:
    inner = st.deferred(lambda: st.lists(steps(), min_size=1, max_size=2))
    values = st.one_of(texts(), st.integers(0, 3), st.booleans())
    options = {
        "inputs": st.dictionaries(st.sampled_from(["x", "y", "z"]), values, max_size=2),
        "outputs": st.dictionaries(st.sampled_from(["o", "p"]), texts(), max_size=2),
        "condition": st.one_of(texts(), st.booleans(), st.just("false")),
        "depends_on": st.lists(st.sampled_from(IDS), max_size=2),
        "foreach": texts(),
        "join": st.sampled_from(["any", {"n": 2}]),
        "on_error": st.lists(
            st.fixed_dictionaries({"then": st.sampled_from(["continue", "goto c-d"])}),
            max_size=1,
        ),
        "steps": inner,
        "workflow": st.sampled_from(["w", "other"]),
        "terminate": st.just("success"),
        "compensate": st.sampled_from(COMPONENTS),
        "metodata": st.just(1),
    }
    extra = st.lists(st.sampled_from(sorted(options)), max_size=3, unique=True)
    shape = {"id": st.sampled_from(IDS), "component": st.sampled_from(COMPONENTS)}
    return extra.flatmap(
        lambda names: st.fixed_dictionaries(
            {**shape, **{name: options[name] for name in names}}
        )
    )


def connections() -> st.SearchStrategy[Any]:
    ends = st.builds(
        "{}{}".format, st.sampled_from(IDS), st.sampled_from(["", ".o", ".x"])
    )
    return st.fixed_dictionaries(
        {"source": ends, "target": ends},
        optional={"condition": st.one_of(texts(), st.just(False))},
    )


SHAPES = {
    "id": st.sampled_from(["w", "v"]),
    "inputs": st.dictionaries(
        st.sampled_from(["p", "q"]),
        st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "no"])}),
        max_size=2,
    ),
    "output": texts(),
    "execution": st.sampled_from(["graph", "sequential"]),
    "on_failure": st.one_of(st.sampled_from(COMPONENTS), st.lists(steps(), max_size=2)),
    "concurrency": st.fixed_dictionaries({"limit": st.just(1), "key": texts()}),
}


@st.composite
def edits(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """Change a document in one place."""
    changed = copy.deepcopy(document)
    what = draw(
        st.sampled_from(["step", "step", "new", "drop", "swap", "link", "else"])
    )
    items = changed["steps"]
    at = draw(st.integers(0, max(len(items) - 1, 0)))
    if what == "step" and items:
        items[at] = draw(steps())
    elif what == "drop" and items:
        del items[at]
    elif what == "swap" and items:
        items[0], items[at] = items[at], items[0]
    elif what == "link":
        links = changed.setdefault("connections", [])
        links.append(draw(connections()))
        del links[: draw(st.integers(0, 1))]
    elif what == "else":
        name = draw(st.sampled_from(sorted(SHAPES)))
        changed[name] = draw(SHAPES[name])
    else:
        items.insert(at, draw(steps()))
    return changed


@settings(max_examples=examples(30), deadline=None)
@given(st.data())
def test_a_session_and_a_check_from_scratch_say_the_same(data: st.DataObject) -> None:
    catalog = data.draw(st.sampled_from([None, Components()]))
    document = {"id": "w", "steps": data.draw(st.lists(steps(), max_size=4))}
    session = ValidationSession(catalog)
    for _ in range(6):
        as_text = data.draw(st.booleans())
        given_form: Any = json.dumps(document, indent=1) if as_text else document
        assert session.check(given_form) == validate(given_form, catalog)
        document = data.draw(edits(document))
