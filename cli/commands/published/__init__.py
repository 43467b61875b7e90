"""Commands of published workflows: found, compared, retired, with their past."""
