"""Compare the stubs of the compiled modules with what was compiled.

`_kernels.pyi` describes every `_kernels_<target>`; the one chosen here stands in for all.
Needs mypy and the installed package. Exits like mypy's own stubtest.
"""

import sys

from mypy.stubtest import parse_options, test_stubs

from fastsoftmax import _cpu, _target

for module in (_cpu, _target.kernels):
    del module.__test__  # Cython's list of doctests, nothing to type

sys.modules["fastsoftmax._kernels"] = _target.kernels
sys.exit(test_stubs(parse_options(["fastsoftmax._cpu", "fastsoftmax._kernels"])))
