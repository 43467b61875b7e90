"""Workflows and runs as pictures: the graph of a workflow, where its parts stand on a grid, and how they are drawn."""
