"""What is done to whole runs or stores, never on the path of a step."""
