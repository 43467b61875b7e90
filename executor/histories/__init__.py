"""Runs whose past is given: forks, imports, and pasts that are destroyed."""
