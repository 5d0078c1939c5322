"""Use cases of the UCWA family: applications, online meetings, conversations, people."""
