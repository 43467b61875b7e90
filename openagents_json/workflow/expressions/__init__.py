"""Expressions and templates: Jinja2's grammar, own evaluation, every operation counted against a budget."""
