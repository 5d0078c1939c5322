"""Session descriptions (RFC 8866, RFC 8829): reading a client's, writing ours. Pure."""
