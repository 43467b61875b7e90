"""The services, asked in this process without a store."""
