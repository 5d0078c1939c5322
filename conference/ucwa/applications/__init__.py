"""UCWA applications: discovery, sign-in, their events."""
