"""The sizes at which the library changes its ways, as they are or very small."""

import sys
from contextlib import contextmanager

SMALL = {
    "BOX": 512,
    "SMALL_BOX": 128,
    "LARGE_BOX": 1_500,
    "SHARE": 256,
    "ALONE": 1_024,
    "ROWS": 3,
    "PIECE": 7,
    "TOGETHER": 2,
    "BLOCKS": 2,
}
CACHES = (1, 1 << 12, 1 << 16)


@contextmanager
def sizes(choices):
    """Let the library have the sizes that are chosen, as they are or small."""
    changed = []
    kernels = sys.modules["fastsoftmax._target"].kernels
    modules = [m for name, m in sys.modules.items() if name.startswith("fastsoftmax.")]
    is_small = choices.draw(4) == 3
    cache = choices.pick(CACHES)
    if is_small:
        kernels.set_cache(cache)
        for module in modules:
            for name, value in SMALL.items():
                if isinstance(getattr(module, name, None), int):
                    changed.append((module, name, getattr(module, name)))
                    setattr(module, name, value)
    try:
        yield
    finally:
        if is_small:
            kernels.set_cache(sys.modules["fastsoftmax._cache"].cache)
        for module, name, value in changed:
            setattr(module, name, value)
