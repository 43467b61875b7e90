"""What a run may not exceed: its length, and what it may use."""
