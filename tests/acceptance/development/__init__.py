"""From an empty folder to a run that is understood: `init`, `dev`, and what is shown while runs go on."""
