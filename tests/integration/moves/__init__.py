"""Runs that leave a store, lie in files, and come into another one."""
