"""Redis as a pipe and a hint: channels and their wakeups, the outbox relay, workers and their notices."""
