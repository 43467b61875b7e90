"""What runs share: starts, children, concurrency limits and schedules."""
