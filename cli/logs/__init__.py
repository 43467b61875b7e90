"""What processes that work write about it, beside the runs: lines for people, or JSON for machines."""
