"""The rules of the house, of imports, and of what a start costs."""
