"""The packet path in Python: the readable model and the fallback."""
