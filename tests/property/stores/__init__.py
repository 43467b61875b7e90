"""Random requests to stores, and random damage to files."""
