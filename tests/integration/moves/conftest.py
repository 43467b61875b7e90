"""Fixtures of several modules."""

from tests.integration.moves.capsules import stores

__all__ = ["stores"]
