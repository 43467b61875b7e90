"""Commands of components: what they have done, and those that other descriptions bring in."""
