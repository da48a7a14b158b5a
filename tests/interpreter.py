"""What the interpreter is like that runs the tests and the proofs."""

import sys


def has_gil():
    """Whether one thread at a time runs Python."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()
