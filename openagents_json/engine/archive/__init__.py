"""Runs that leave a store, come back, or lose what they worked with."""
