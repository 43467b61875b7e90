"""The paths of 0.1.4 below `/api`, as they were documented then; what they ask for is done by this engine."""
