"""The UCWA family: applications, events, online meetings, conversations, people."""
