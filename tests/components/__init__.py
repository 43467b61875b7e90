"""Components that tests have run."""
