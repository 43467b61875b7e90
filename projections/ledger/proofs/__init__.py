"""Proofs of inclusion: that events were sealed as they are, shown with nothing but a public key."""
