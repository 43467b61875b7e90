"""Placeholder docstring: replaced with the room's own."""
