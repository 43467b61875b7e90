"""What a document means, and whether it can: every problem, found in one pass."""
