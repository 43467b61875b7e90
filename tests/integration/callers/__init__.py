"""Who calls the services: by which paths and tokens, how much a caller may ask for, and how long lists come."""
