"""Types of arguments whose names a shell can complete from the store, from files, or from the profiles."""
