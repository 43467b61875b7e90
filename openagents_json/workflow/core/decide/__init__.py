"""What may happen next: `decide(plan, state, command) -> events`, one module for each kind of question."""
