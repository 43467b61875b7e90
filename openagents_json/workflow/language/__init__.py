"""The document: parsed, checked, bound and compiled to a plan."""
