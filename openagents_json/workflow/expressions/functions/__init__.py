"""What expressions can use: operators, tests, methods and filters, each with its cost counted before it is done."""
