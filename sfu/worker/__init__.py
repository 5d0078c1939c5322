"""The worker process: control, meetings, ticker."""
