"""Fuzzing: inputs that nobody would write, made of kept ones, and what has to be true of each; see CONTRIBUTING."""
