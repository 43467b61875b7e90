"""Which components and workflows there are, by name and version: of this program, and of the store."""
