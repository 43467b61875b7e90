"""Servers as they are set up, connected to, and short of something."""
