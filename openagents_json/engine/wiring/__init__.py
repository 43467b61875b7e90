"""The composition root: the only place that says which parts a client, a worker or a sealer is made of."""
