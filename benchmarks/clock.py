"""The clock frequency the CPU runs at right now, read without performance counters.

Virtual machines seldom count cycles, and the frequency changes from one moment to the next. A chain
of dependent 32-bit multiplications takes three cycles each on Intel's Core and Xeon since 2008 and
on AMD's Zen, so timing a known number of them gives the frequency. Elsewhere we know of no such
constant, and cycles are not reported.
"""

import ctypes
import mmap
import platform
import time
from collections.abc import Callable

MULTIPLICATIONS = 8
LATENCY = 3
ITERATIONS = 20_000

# loop: imul eax, eax (eight times); dec rdi; jnz loop; ret
BODY = bytes.fromhex("0fafc0") * MULTIPLICATIONS + bytes.fromhex("48ffcf")
CHAIN = BODY + bytes([0x75, 256 - len(BODY) - 2]) + b"\xc3"


def _executable_page() -> mmap.mmap | None:
    # rdi holds the first argument in the calling convention of Linux and macOS only.
    if platform.system() not in ("Linux", "Darwin") or platform.machine() != "x86_64":
        return None
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:  # hardened systems forbid memory that is both writable and executable
        return None
    page.write(CHAIN)
    return page


def _function_at(page: mmap.mmap) -> Callable[[int], None]:
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(None, ctypes.c_uint64)(address)


_page = _executable_page()  # must live as long as the function
_chain = None if _page is None else _function_at(_page)


def frequency() -> float | None:
    """Cycles per second at this moment, or None where they cannot be told."""
    if _chain is None:
        return None
    start = time.process_time()  # leaves out the time that other processes run
    _chain(ITERATIONS)
    return LATENCY * MULTIPLICATIONS * ITERATIONS / (time.process_time() - start)
