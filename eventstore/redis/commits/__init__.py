"""How commits of runs are told to their script: which share a call, in which words, and what comes back."""
