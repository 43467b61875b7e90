"""What processes share beside the log: semaphores, wake-ups, members and schedules."""
