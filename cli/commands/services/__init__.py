"""Commands of the services over HTTP: serving them, and who may call them."""
