"""Where data goes in and out: options, files, reports, numbers, the sandbox."""
