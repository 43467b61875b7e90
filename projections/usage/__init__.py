"""The view of usage, and sums of it: what the attempts of each run have used."""
