"""Looking at runs: what one is, what it waits for, and when its steps were worked on."""
