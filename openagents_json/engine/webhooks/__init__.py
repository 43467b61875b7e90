"""Webhooks: others subscribe to events of runs, and each delivery is a run of a workflow of ours."""
