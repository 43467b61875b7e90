"""What checks of a store find, and what mends it."""
