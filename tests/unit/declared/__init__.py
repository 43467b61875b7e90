"""Components that are data, in files and OpenAPI documents; documents while they are written."""
