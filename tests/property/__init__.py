"""What holds of whatever is given."""
