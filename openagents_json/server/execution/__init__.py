"""The execution service: runs, what steers them, what they show, and schedules."""
