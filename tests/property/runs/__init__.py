"""Random documents, outcomes, orders and interruptions of runs."""
