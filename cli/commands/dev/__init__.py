"""`openagents dev`: a server, a worker that follows its files, and lines of what runs."""
