"""Servers and lines that fail: replies, tails, primaries and nodes that are lost."""
