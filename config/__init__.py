"""Typed settings and logging, shared by every process."""
