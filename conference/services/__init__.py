"""Use cases: load, decide, save with the outbox in one transaction, tell, return."""
