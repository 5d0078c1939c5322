"""The meetings family: its URLs, its JSON, its errors."""
