"""Names of users, for clients to show."""
