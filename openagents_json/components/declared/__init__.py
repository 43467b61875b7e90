"""Components that are data: specs in files, of which those over HTTP can run without any code."""
