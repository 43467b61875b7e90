"""Limits across runs, what becomes due, and clocks."""
