"""What lets a caller read what it has written, whichever instance it asks."""
