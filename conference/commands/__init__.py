"""The `parley` command: one module per family of subcommands. `conference.__main__` gathers them."""

from __future__ import annotations


class CommandError(Exception):
    """A command can't do what was asked; the text is all that the user sees, and says what to do."""
