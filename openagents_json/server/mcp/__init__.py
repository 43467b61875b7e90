"""The MCP server: what language models may look at and do, each a call of the engine."""
