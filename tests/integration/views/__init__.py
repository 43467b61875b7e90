"""What is shown, counted and measured of a store."""
