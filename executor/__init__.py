"""Runs steps: claims and leases, draining and dispatch, the relay of due work, Celery."""
