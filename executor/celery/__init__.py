"""Celery: an app whose messages are doorbells, and workers hosted by it; nobody else imports `celery`."""
