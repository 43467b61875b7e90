"""Where `file.read`, `file.write` and `file.list` work: a directory of the worker, or a URL that fsspec knows."""
