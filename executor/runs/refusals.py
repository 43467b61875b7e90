"""Runs that were never let in, because their workflow says to reject what is beyond its limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from openagents_json.workflow.core import state as st
from openagents_json.workflow.types import Json

LIMIT_ERROR: Final = "ConcurrencyLimit"
"""The type of the error of a run that was not let in."""


def refusal(state: st.RunState) -> Mapping[str, Json] | None:
    """Return the error of a run that was never let in, None of one that was, however it ended."""
    was_admitted = state.status != st.FAILED or not state.queue or state.steps
    if was_admitted:
        return None
    error = state.error or {}
    return error if error.get("type") == LIMIT_ERROR else None
