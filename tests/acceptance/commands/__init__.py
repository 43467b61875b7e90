"""The command line and its pages, as a user has them."""
