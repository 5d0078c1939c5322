"""Where a datagram comes from or goes to."""

from __future__ import annotations

Address = tuple[str, int]
"""Host and port as the socket family writes them; an IPv4 peer on a dual-stack socket is plain IPv4 here."""
