"""The command line: softmax and its logs over `.npy` files, a demonstration, facts.

(a) The exit status says whose turn it is. 0: done; 2: the command or its input has to change; 1:
    the system failed (a full disk, a folder that may not be written); 130 and 143: stopped by
    Ctrl-C or SIGTERM.
(b) An error is one line on stderr. A traceback means a fault in this package.
(c) SIGTERM is turned into an exception, so that what Ctrl-C cleans up, a batch system's kill cleans
    up as well.
"""

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from . import demo, info, transform
from .errors import InputError

DONE, SYSTEM_FAILED, BAD_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        The words after `python -m fastsoftmax`; by default those of this process.

    Returns
    -------
    int
        0 when done; 2 for a bad input, 1 for a failure of the system, 130 after Ctrl-C, each
        with one line on stderr.

    Raises
    ------
    SystemExit
        By `--help`, by words that are no command (status 2), and on SIGTERM (status 143).

    Examples
    --------
    >>> from fastsoftmax._command_line import main
    >>> main(["softmax", "no-such-file.npy", "probabilities.npy"])
    2
    """
    command = _parser().parse_args(arguments)
    try:
        with _termination_heard():
            command.run(command)
    except InputError as error:
        return _report(error, BAD_INPUT)
    except KeyboardInterrupt:
        return _report("interrupted", INTERRUPTED)
    except MemoryError as error:
        return _report(f"out of memory: {error}", SYSTEM_FAILED)
    except OSError as error:
        return _report(_describe(error), SYSTEM_FAILED)
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fastsoftmax",
        description="Softmax, log-softmax and logsumexp of arrays in .npy files, of any size.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (info, demo, transform):
        command.add_to(commands)
    return parser


@contextmanager
def _termination_heard() -> Iterator[None]:
    """Let SIGTERM unwind the stack. Only the main thread may, elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(TERMINATED)


def _describe(error: OSError) -> str:
    if error.filename is None:
        return error.strerror or str(error)
    return f"{error.filename}: {error.strerror}"


def _report(message: object, status: int) -> int:
    print(f"fastsoftmax: error: {message}", file=sys.stderr)
    return status
