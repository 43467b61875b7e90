"""What a program can count and time of its engine: the port that takes numbers, and what stands in front of stores."""
