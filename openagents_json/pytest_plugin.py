"""Fixtures for tests of workflows; pytest finds them by the entry point `openagents_json`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from openagents_json.engine import Engine
    from openagents_json.testing import Play


@pytest.fixture
def play_workflow() -> Callable[..., Play]:
    """Return `openagents_json.testing.play`: run a document in memory, with stand-ins and a clock that jumps."""
    from openagents_json.testing import play

    return play


@pytest.fixture
def begin_workflow() -> Callable[..., Play]:
    """Return `openagents_json.testing.Play`: begin a run in memory, and move the clock by hand."""
    from openagents_json.testing import Play

    return Play


@pytest.fixture
def replay_history() -> Callable[..., Any]:
    """Return `openagents_json.testing.replay`: a recorded history against a document as it is now."""
    from openagents_json.testing import replay

    return replay


@pytest.fixture
def embedded_engine(tmp_path: Path) -> Iterator[Engine]:
    """Return an engine on a server of its own, with the components that the test's modules declare."""
    from openagents_json.engine import Engine

    with Engine.embedded(tmp_path / "openagents") as engine:
        yield engine
