"""How commands fail: what is said, with which status, and what to do about it."""
