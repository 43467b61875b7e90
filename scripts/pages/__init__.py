"""The pages of the reference that are written from the program itself, each by one module."""
