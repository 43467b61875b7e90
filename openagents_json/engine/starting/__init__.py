"""How runs begin: what a caller asks for, as the start that the executor carries out."""
