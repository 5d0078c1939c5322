"""Everything of Parley on one machine: processes, ports, data directory, checks."""
