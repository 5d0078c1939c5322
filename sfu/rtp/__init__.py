"""RTP and RTCP as computation: no socket, no clock, no randomness. Times and ids come in as arguments."""
