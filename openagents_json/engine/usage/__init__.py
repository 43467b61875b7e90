"""What attempts use: sums of it, and budgets as programs and commands say them."""
