"""Files of documents that are validated: suggestions carried out in them, and checks again as they are edited."""
