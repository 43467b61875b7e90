"""What must hold of a store, whether it does, and how it is mended from the log."""
