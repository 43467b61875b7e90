"""Who calls the services: how much a caller may ask for, and how long lists come."""
