"""The registry service: published workflows, and the components that workers have."""
