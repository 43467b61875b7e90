"""What people give a run as text: it is read by the type that the document declares."""
