"""Output files that appear whole or not at all.

(a) Everything is written under a temporary name in the folder of the output, brought to the disk,
    and renamed last. An error, Ctrl-C or SIGTERM removes it; what a crash leaves ends in
    `.partial`.
(b) Without --force nothing is ever overwritten, not even a file that appeared meanwhile: a hard
    link, unlike a rename, fails when its name exists. File systems without hard links get a look
    before the rename.
(c) With --force, an output that is a symbolic link stays one, and the file behind it is replaced.
(d) Blocks written one after another go through `write`. Where that is not their order, the file is
    a writable memory map, and its space is claimed first: a full disk met inside a map is not an
    error but SIGBUS.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from .errors import InputError

ZEROS = bytes(1 << 20)
NO_SUCH_CALL = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)


def check(source: str, target: str, force: bool) -> None:
    """Refuse an output that is the input, is no regular file, or exists and may not be replaced."""
    if os.path.exists(target) and os.path.samefile(source, target):
        raise InputError(f"{target}: input and output are the same file")
    if os.path.isdir(target):
        raise InputError(f"{target}: Is a directory")
    if os.path.exists(target) and not os.path.isfile(target):
        raise InputError(f"{target}: not a regular file")
    if os.path.lexists(target) and not force:
        raise _exists(target)


@contextmanager
def new_file(target: str, force: bool) -> Iterator[BinaryIO]:
    """Open a file that gets its name when the `with` block ends well, and is removed otherwise."""
    target = os.path.realpath(target) if force else target
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.partial")
    try:
        with open(temporary, "xb+") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _publish(temporary, target, force)
    except BaseException as error:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            error.filename = target  # the name the user knows
        raise
    _sync_folder(folder)


def claim(file: BinaryIO, count: int) -> None:
    """Make the file `count` bytes longer, on the disk and not only on paper."""
    file.flush()
    start = file.tell()
    if hasattr(os, "posix_fallocate"):
        try:
            return os.posix_fallocate(file.fileno(), start, count)
        except OSError as error:
            if error.errno not in NO_SUCH_CALL:
                raise
    file.writelines(ZEROS[: count - position] for position in range(0, count, len(ZEROS)))
    file.flush()


def _publish(temporary: str, target: str, force: bool) -> None:
    if force:
        os.replace(temporary, target)
        return
    try:
        os.link(temporary, target)
        os.unlink(temporary)
    except FileExistsError as error:
        raise _exists(target) from error
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(target):
            raise _exists(target) from error
        os.rename(temporary, target)


def _sync_folder(folder: str) -> None:
    """Bring the new name to the disk as well, where the system lets a folder be opened."""
    if os.name == "posix":
        descriptor = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exists(target: str) -> InputError:
    return InputError(f"{target}: exists (--force replaces it)")
