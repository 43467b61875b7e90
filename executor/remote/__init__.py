"""Work for programs that are no processes of ours: steps handed out over HTTP, and what becomes of them."""
