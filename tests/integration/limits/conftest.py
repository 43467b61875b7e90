"""Fixtures of several modules."""

from tests.integration.limits.room import engines, room
from tests.integration.limits.timetable import clock, engine, table

__all__ = ["clock", "engine", "engines", "room", "table"]
