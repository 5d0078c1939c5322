"""UCWA people: me, presence, contacts, groups, subscriptions."""
