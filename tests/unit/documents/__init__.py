"""Documents, expressions and references: what they mean, and what is wrong with them."""
