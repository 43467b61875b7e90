"""What users do, with processes of their own."""
