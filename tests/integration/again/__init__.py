"""Runs that are done again: retried, forked, replayed, healed."""
