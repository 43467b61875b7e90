"""Messages of `email.send`, and the servers that take them."""
