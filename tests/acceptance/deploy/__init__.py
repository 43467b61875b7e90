"""The files of `deploy/`: they name what there is, and servers and processes that are begun with them do their work."""
