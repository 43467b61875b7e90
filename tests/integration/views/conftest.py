"""Fixtures of several modules."""

from tests.integration.views.opened_views import opened

__all__ = ["opened"]
