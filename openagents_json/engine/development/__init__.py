"""For who edits components and documents: what is loaded now, and what is wrong by that."""
