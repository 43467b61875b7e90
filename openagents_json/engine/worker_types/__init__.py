"""Worker types: how the processes work that serve each of them, from one configuration."""
