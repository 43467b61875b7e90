"""Who calls the services: how much of them a caller may ask for."""
