"""The media worker: negotiates WebRTC connections and forwards media without decoding it."""
