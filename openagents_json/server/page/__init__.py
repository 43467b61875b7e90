"""The web page: files that browsers get as they are written, which use the public API and nothing else."""
