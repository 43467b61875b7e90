"""Settings from a file: profiles in `openagents.toml`, and where each setting comes from."""
