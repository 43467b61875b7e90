"""Clients of the services, against real ones."""
