"""Tests of workflows, without servers: runs in memory, components of your choice, and a clock that jumps."""

from __future__ import annotations

from openagents_json.testing.mocks import Call, NoMock, outcomes
from openagents_json.testing.play import Play, play
from openagents_json.testing.replay import Divergence, replay
from openagents_json.testing.world import Stuck, World

__all__ = ["Call", "Divergence", "NoMock", "Play", "Stuck", "World", "outcomes", "play", "replay"]
