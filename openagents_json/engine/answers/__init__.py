"""What the engine answers with: frozen values, which cost a client of the services no driver of a store."""
