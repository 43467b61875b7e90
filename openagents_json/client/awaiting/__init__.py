# Written by scripts/async_client from client/blocking: change it there.
"""The client for event loops: each call is awaited."""
