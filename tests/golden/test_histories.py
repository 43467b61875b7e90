"""Histories as earlier versions wrote them: what was stored once is read for ever, and folds to the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eventstore import codec
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.event_types import from_data, to_data, type_name
from openagents_json.workflow.core.evolve import evolve_all

HISTORIES = sorted(Path(__file__).parent.glob("*.json"))


def summary(state: st.RunState) -> dict[str, Any]:
    """Return what a user would see of a state."""
    steps = {
        name: [s.status, s.attempt, s.failures, s.lost, s.output]
        for name, s in sorted(state.steps.items())
    }
    return {
        "status": state.status,
        "output": state.output,
        "error": state.error,
        "steps": steps,
    }


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_stored_history_folds_to_what_it_was(path: Path) -> None:
    golden = json.loads(path.read_text())
    happened = [from_data(kind, data) for kind, data in golden["events"]]
    assert summary(evolve_all(st.initial(), happened)) == golden["summary"]
    written = [
        [type_name(event), json.loads(codec.encode(to_data(event)))]
        for event in happened
    ]
    assert written == golden["events"]


def test_every_kind_of_event_is_in_a_stored_history() -> None:
    seen = {
        kind for path in HISTORIES for kind, _ in json.loads(path.read_text())["events"]
    }
    assert seen == {kind.__name__ for kind in ev.Event.__args__}
