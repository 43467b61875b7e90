"""The services over HTTP: a request is a call of the engine and a mapping, and nothing is decided here."""
