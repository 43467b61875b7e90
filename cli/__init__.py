"""The `openagents` command."""
