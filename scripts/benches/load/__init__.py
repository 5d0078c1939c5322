"""The load side of the SFU benchmarks: light peers whose media costs the machine next to nothing."""
