"""The components that come with the engine, what bounds them, and what components report."""
