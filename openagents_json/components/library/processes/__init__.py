"""Programs as `process.run` runs them."""
