"""What all requests have in common: how bodies are read, how values and errors are answered, who may call."""
