"""What is taken as surely of the right shape is so, by the whole of JSON Schema."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from openagents_json.workflow.language.checks.accepting import accepting
from openagents_json.workflow.language.schema import SCHEMA, without_notes

DEFINITIONS = without_notes(SCHEMA)["$defs"]
STEP = {**DEFINITIONS["step"], "$defs": DEFINITIONS}
OPTIONS = sorted(DEFINITIONS["work"]["properties"].keys() - {"id"})
ACCEPTS = accepting(STEP, DEFINITIONS)
VALID = Draft202012Validator(STEP)

PLAIN = {
    "id": "pay",
    "component": "pay@^1",
    "inputs": {"amount": "{{input.amount}}", "lines": [1, 2.5, None]},
    "depends_on": ["ask"],
    "timeout": 30,
    "retry": {"max_retries": 2, "delay_seconds": 1},
    "condition": "input.amount > 1",
}

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from(["", "a", "any", 2.5])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from([*OPTIONS, "n", "max_retries", "seconds"]), inner
        )
    ),
    max_leaves=4,
)
steps = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "", 5])},
    optional=dict.fromkeys(OPTIONS, values),
)


def test_a_plain_step_needs_no_full_look() -> None:
    assert ACCEPTS(PLAIN)
    assert not ACCEPTS({**PLAIN, "timeout": "x"})


@settings(max_examples=25)
@given(steps | values)
def test_what_is_accepted_fits_the_schema(step: Any) -> None:
    assert not ACCEPTS(step) or VALID.is_valid(step)
    for name, member in step.items() if isinstance(step, dict) else ():
        changed = {**PLAIN, name: member}
        assert not ACCEPTS(changed) or VALID.is_valid(changed)
