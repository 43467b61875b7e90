"""Fixtures of several modules."""

from tests.acceptance.demo import demo

__all__ = ["demo"]
