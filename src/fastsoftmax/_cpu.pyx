"""Ask CPU and operating system which compiled targets can run here. Built with baseline flags, imported first."""

cdef extern from "simd/detect.hpp" namespace "detect" nogil:
    bint has_avx512() noexcept
    bint has_avx2() noexcept
    bint has_neon() noexcept


def runnable_targets():
    """Names of the targets this machine can run, the fastest first. `generic` always closes the list."""
    targets = (("avx512", has_avx512()), ("avx2", has_avx2()), ("neon", has_neon()), ("generic", True))
    return tuple(name for name, runs in targets if runs)
