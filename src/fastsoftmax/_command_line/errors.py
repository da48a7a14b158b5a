"""The one exception of the command line."""


class InputError(Exception):
    """The command, or a file it names, cannot be worked on. The text is one line for the user."""
