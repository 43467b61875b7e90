"""What commands are given beside the document: inputs, profiles, names to complete, and how they print."""
