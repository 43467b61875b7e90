"""Webhooks, which tell others of events of runs."""
