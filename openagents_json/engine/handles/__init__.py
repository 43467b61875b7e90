"""Handles of runs: what a program does with one run, in threads and on an event loop."""
