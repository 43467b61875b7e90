"""Locks of programs and of the engine itself: leases that a process holds while it works."""
