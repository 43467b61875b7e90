"""The catalog: components as specs and as code, how they are declared, found, loaded and called."""
