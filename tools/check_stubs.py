"""Compare the stubs of the compiled modules with what was compiled.

`_kernels.pyi` describes every `_kernels_<target>`; the one chosen here stands in for all.
Needs mypy and the installed package. Exits like mypy's own stubtest.
"""

import sys

from mypy.stubtest import parse_options, test_stubs

from fastsoftmax import _target

sys.modules["fastsoftmax._kernels"] = _target.kernels
sys.exit(test_stubs(parse_options(["fastsoftmax._kernels", "fastsoftmax._cpu"])))
