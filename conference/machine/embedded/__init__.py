"""PostgreSQL and Valkey from wheels, for one machine: no server to install, everything under the data directory.

Both listen on unix sockets only, in directories that nobody else may enter.
"""

from __future__ import annotations

from conference.machine.embedded import postgres, valkey
from conference.machine.embedded.postgres import PostgresServer
from conference.machine.embedded.process import EmbeddedError
from conference.machine.embedded.valkey import ValkeyServer

__all__ = ["PACKAGES", "EmbeddedError", "PostgresServer", "ValkeyServer"]

PACKAGES = {"database": postgres.PACKAGE, "redis": valkey.PACKAGE}
"""What brings each server; the extra `embedded` installs them."""
