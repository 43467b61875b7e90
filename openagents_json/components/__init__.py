"""The catalog: what steps can call."""
