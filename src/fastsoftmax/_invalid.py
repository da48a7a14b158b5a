"""The one warning there is: a nan that no nan caused.

Kernels compute with whatever the vector unit gives and report a single bit. The warning is then
raised by a NumPy operation in the calling thread, so that it obeys the caller's `np.errstate` as
NumPy's own warnings do: ignored, printed, called, logged or raised as FloatingPointError.
"""

import numpy as np

_INFINITY = np.float64(np.inf)


def report_invalid() -> None:
    """Report "invalid value encountered" as the caller's `np.errstate` asks."""
    np.subtract(_INFINITY, _INFINITY)
