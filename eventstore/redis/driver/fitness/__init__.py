"""Whether a server is fit to hold a log: before anything is trusted to it, after a restart, and after an erasure."""
