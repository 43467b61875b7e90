"""OpenAgents JSON: workflows as JSON documents, durable on Redis Streams."""
