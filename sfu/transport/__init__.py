"""One client: ICE, DTLS and what becomes of it."""
