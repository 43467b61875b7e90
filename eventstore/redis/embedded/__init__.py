"""A server of our own in a data directory: begun by the first process that needs it, stopped with the last."""
