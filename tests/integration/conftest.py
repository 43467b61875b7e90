"""Fixtures of several modules."""

from tests.integration.opened_engine import opened

__all__ = ["opened"]
