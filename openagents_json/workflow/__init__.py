"""The pure room: what a workflow is and what may happen next; no I/O, no clock, no randomness."""
