"""The names of 0.1.4: what programs that were written for it can still do."""
