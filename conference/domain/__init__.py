"""The rules, without I/O: `decide(state, command, now)` gives the new state and what to tell whom."""
