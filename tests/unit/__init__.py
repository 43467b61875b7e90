"""What the product decides, without servers."""
