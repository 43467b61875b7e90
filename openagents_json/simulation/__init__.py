"""A run in memory with a clock that jumps, its components played by stubs or kept in a sandbox."""
