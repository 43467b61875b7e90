"""The system of `deploy/compose` as plain processes, under load: what `make test-deploy` runs."""
