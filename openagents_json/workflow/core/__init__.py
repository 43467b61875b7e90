"""The decider: events, commands, state, `evolve`, and the plan that it works from."""
