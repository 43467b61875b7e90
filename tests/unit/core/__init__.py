"""Decisions on runs, without a store."""
