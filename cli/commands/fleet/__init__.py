"""Processes side by side: those of worker types, as many as each needs, and the locks that one of them holds."""
