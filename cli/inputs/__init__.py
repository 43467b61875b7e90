"""Inputs, payloads and results that commands are given: on the line, in files, on the standard input."""
