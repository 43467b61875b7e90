"""Worker types side by side: each in processes of its own, as many as it needs."""
