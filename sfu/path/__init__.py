"""The packet path: its interface, which implementation there is, and what goes through it."""
