"""The scratch memory of a call.

(a) A kernel has all of it before it writes its first result: without memory, `out` is as it was. So what only unusual slices
    need is reserved as well. More than RESERVED bytes are not: they are asked for where they are needed.
(b) It is kept until the call ends, and serves the next strip or chunk, which needs no more than the first.
"""

from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc

cdef enum:
    LINE = 64  # bytes of a cache line
    RESERVED = 1048576


cdef struct Scratch:
    void* memory
    Py_ssize_t size


cdef inline Scratch no_scratch() noexcept nogil:
    """To begin with."""
    cdef Scratch scratch
    scratch.memory = NULL
    scratch.size = 0
    return scratch


cdef inline char* scratch_of(Scratch* scratch, Py_ssize_t size) except NULL nogil:
    """So many bytes that begin at a cache line; what is kept is used again if it suffices."""
    if scratch.memory == NULL or scratch.size < size:
        free(scratch.memory)
        scratch.size = size
        scratch.memory = malloc(size + LINE)
        if scratch.memory == NULL:
            with gil:
                raise MemoryError()
    return <char*>((<uintptr_t>scratch.memory + LINE - 1) // LINE * LINE)


cdef inline int reserve(Scratch* scratch, Py_ssize_t size) except -1 nogil:
    """Have so many bytes ready, unless they are too many."""
    if size <= RESERVED:
        scratch_of(scratch, size)
    return 0


cdef inline void release(Scratch* scratch) noexcept nogil:
    """Give it back."""
    free(scratch.memory)
