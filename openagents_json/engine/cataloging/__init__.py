"""The catalog of a store for programs and commands: registered, looked up, searched, retired, with its past."""
