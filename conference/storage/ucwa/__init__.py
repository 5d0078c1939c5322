"""What the UCWA family keeps in PostgreSQL."""
