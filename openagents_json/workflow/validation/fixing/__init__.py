"""Suggestions that are carried out in the text of a document: nothing else of it changes."""
