"""What people are shown while runs go on, and of what was: items in bars, times in lines."""
