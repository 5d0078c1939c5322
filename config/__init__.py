"""What every process has: typed settings, logging, a way to end tasks."""
