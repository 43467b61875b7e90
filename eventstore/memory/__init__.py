"""The ports in this process's memory: they prove the contracts, and lose everything at the end."""
