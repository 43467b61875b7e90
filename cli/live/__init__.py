"""What commands show while runs go on: a line for what happens, and many items folded into one bar."""
