"""Stores behind a service: commands use a client of it as they use an engine."""
