"""A worker process: drains, lanes, relay, heartbeat, and its place among the others."""
