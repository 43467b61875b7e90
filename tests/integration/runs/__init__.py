"""Runs as clients start and steer them, and as workers take them on."""
