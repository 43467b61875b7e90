"""Worker processes and brokers, and what kills them."""
