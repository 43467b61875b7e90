"""The group `openagents runs`, one module for each thing that is done with runs."""
