"""Documents in an editor: what may stand at the cursor, what it means, where it is defined; a language server."""
