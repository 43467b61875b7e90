"""Fixtures of several modules."""

from tests.unit.library.web_server import web

__all__ = ["web"]
