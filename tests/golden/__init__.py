"""Histories of former versions, which still fold."""
