"""The services over HTTP on a real store, asked in this process."""
