"""Names in a store, asked for by whoever presses a key: quickly, with little, and never at any cost to others."""
