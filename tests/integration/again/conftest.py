"""Fixtures of several modules."""

from tests.integration.again.failures import engine, fail

__all__ = ["engine", "fail"]
