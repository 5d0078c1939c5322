"""PostgreSQL: the truth. SQL per aggregate, the outbox, migrations."""
