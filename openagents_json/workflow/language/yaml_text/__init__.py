"""Documents in YAML, read as the JSON that they stand for: whatever could be read in two ways is refused."""
