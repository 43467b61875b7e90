"""What acts on runs: on many at once, by what they are, and for good."""
