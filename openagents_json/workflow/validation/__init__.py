"""Validation part by part: each step and each edge has a verdict, kept while nothing that it needs changes."""
