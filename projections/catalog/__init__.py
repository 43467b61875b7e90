"""The view of the catalog: what names there are, and what each is found by."""
