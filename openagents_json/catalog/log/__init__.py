"""The catalog as events: what happens to a name, what that comes to, and what may happen next; pure."""
