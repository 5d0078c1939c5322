"""Repair and congestion: what is asked for and answered by RTCP."""
