"""The services as processes: what they print, refuse, and survive."""
