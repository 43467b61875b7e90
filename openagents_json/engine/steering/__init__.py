"""What changes many things at once, or takes them away: runs that a filter chooses, published workflows."""
