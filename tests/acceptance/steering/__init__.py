"""Commands that act on runs, schedules and workflows, as users give them."""
