"""What is noted about a run beside its course: it changes nothing of what a replay compares."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.testing import play, replay

STEP: dict[str, Any] = {"id": "sum", "component": "add", "inputs": {"a": 1, "b": 2}}
DOCUMENT: dict[str, Any] = {"id": "w", "steps": [STEP, {**STEP, "id": "again"}]}
HISTORY = play(DOCUMENT, components={"add": lambda a, b: a + b}).history


@pytest.mark.parametrize("index", range(1, len(HISTORY) + 1))
def test_a_hold_at_any_moment_is_no_divergence(index: int) -> None:
    held: list[dict[str, Any]] = [
        {"type": "RunHeld", "data": {"reason": "x"}},
        {"type": "RunHoldReleased", "data": {}},
    ]
    assert replay(DOCUMENT, [*HISTORY[:index], *held, *HISTORY[index:]]) is None


def test_a_divergence_is_named_by_its_own_number() -> None:
    changed = {
        "id": "w",
        "steps": [STEP, {**STEP, "id": "again", "inputs": {"a": 2, "b": 2}}],
    }
    plain = replay(changed, HISTORY)
    noted = replay(changed, [HISTORY[0], {"type": "RunHeld", "data": {}}, *HISTORY[1:]])
    assert plain is not None
    assert noted is not None
    assert noted.version == plain.version + 1


@pytest.mark.parametrize("history", [[], HISTORY[1:]])
def test_what_is_no_history_from_its_beginning_on_proves_nothing(
    history: list[dict[str, Any]],
) -> None:
    with pytest.raises(ValueError, match="a history begins with RunStarted"):
        replay(DOCUMENT, history)
