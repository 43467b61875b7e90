"""What a commit changes beside the log: ready, due and parked steps, derived from its events alone."""
