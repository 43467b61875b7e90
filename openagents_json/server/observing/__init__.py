"""What a service tells of itself: that it lives and can work, what it counts, a line for each request."""
