"""Fixtures of several modules."""

from tests.acceptance.command_world import folder
from tests.acceptance.demo import demo

__all__ = ["demo", "folder"]
