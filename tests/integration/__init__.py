"""What the product does on real servers."""
