"""How each event changes the state of its run: the folds that `evolve` has in its table."""
