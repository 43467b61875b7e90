"""Databases as `sql.query` and `sql.execute` reach them."""
