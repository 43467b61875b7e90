"""Tests of workflows, without servers: runs in memory, components of your choice, and a clock that jumps."""

from __future__ import annotations

from openagents_json.simulation.errors import NoMock, Stuck
from openagents_json.simulation.stubs import Call, outcomes
from openagents_json.simulation.world import World
from openagents_json.testing.play import Play, play
from openagents_json.testing.replay import Divergence, replay

__all__ = [
    "Call",
    "Divergence",
    "NoMock",
    "Play",
    "Stuck",
    "World",
    "outcomes",
    "play",
    "replay",
]
