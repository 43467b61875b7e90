"""Clients of the services, without any."""
