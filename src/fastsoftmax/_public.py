"""The compiled front of a public function.

A plain small call never enters Python: the public function itself is compiled (`Public` in
`_kernels.pyx`), and calls the function written in Python only where a call is not plain. It takes
over that one's name, documentation and annotations.
"""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar, cast

from ._target import kernels

F = TypeVar("F", bound=Callable[..., Any])


def public(function: F) -> F:
    """The public function with the name and the signature of `function`, which it falls back on."""
    front = getattr(kernels.Public, function.__name__)
    kernels.set_complete(function.__name__, function)
    return cast("F", update_wrapper(front, function))
