"""The API process: meetings, waiting rooms, event channels and the four HTTP APIs over them."""
