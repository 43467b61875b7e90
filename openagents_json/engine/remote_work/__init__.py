"""Work by programs of any language: they claim steps, extend their leases and say what came of them."""
