"""The catalog: builds, events, words."""
