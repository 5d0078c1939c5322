"""UCWA online meetings of an organizer, their settings and extensions."""
