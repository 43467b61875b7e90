"""Two plans, or two histories, beside each other."""
