"""What `openagents doctor` looks for."""
