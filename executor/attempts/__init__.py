"""One attempt of a step: leased, executed, its outcome recorded with the claim of what comes next."""
