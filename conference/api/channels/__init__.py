"""Event channels over HTTP: pending GET, server-sent events, WebSocket."""
