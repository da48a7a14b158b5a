"""Ctrl-C is looked for every SIGNAL_PERIOD elements, or in a helping thread the flag that stops it."""

cdef extern from "kernels/stop.hpp" nogil:
    bint obeys_flag() noexcept
    bint is_flag_set() noexcept

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1

cdef enum:
    SIGNAL_PERIOD = 1048576


cdef inline int hear_signals() except -1 nogil:
    """Stop for Ctrl-C, or in a helping thread because its call is to end."""
    if obeys_flag():
        if is_flag_set():
            with gil:
                raise KeyboardInterrupt
        return 0
    with gil:
        return PyErr_CheckSignals()


cdef inline int next_piece(Py_ssize_t start, Py_ssize_t n, Py_ssize_t* length) except -1 nogil:
    """The length of the next piece of a row, before which Ctrl-C is looked for; short rows are one piece."""
    if start > 0:
        hear_signals()
    length[0] = n - start if n - start < SIGNAL_PERIOD else SIGNAL_PERIOD
    return 0
