"""What the documentation says besides its own pages: the generated reference, and the programs of examples."""
