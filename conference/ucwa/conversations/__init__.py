"""UCWA conversations: joining, lobby, participants, media, and what of it applications are told."""
