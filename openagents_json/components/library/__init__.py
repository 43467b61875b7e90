"""Components for documents that need no code of their own; what each one needs is imported when it is called."""
