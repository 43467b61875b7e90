"""Fairness: keys that share workers take turns."""
