"""Calls of the services as values: which request each is, and how its answer is read. Nothing is sent here."""
