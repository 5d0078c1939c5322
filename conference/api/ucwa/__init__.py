"""UCWA: applications, their events, online meetings and conversations, as linked resources in JSON and XML."""
