"""Short rows are computed many at a time; what one of them holds is nothing to its neighbours."""

import numpy as np
import pytest
from formats import assert_same_bits

UNUSUAL = {
    "a nan": lambda row: np.put(row, 0, np.nan),
    "an infinity": lambda row: np.put(row, 0, np.inf),
    "nothing": lambda row: row.fill(-np.inf),
    "huge numbers": lambda row: np.put(row, [0, 1], np.finfo(row.dtype).max / 2),
    "tiny results": lambda row: np.put(row, 0, 100 if row.dtype == "f4" else 740),
    "one logit far above": lambda row: np.put(row, 1, 60),
}


def _all(fs, x):
    in_place = x.copy()
    fs.softmax(in_place, -1, out=in_place)
    return fs.softmax(x, -1), in_place, fs.log_softmax(x, -1), fs.logsumexp(x, -1)


@pytest.fixture(params=[1, 1 << 27], ids=["uncached", "cached"])
def cache(request, set_cache):
    """Rows that count as coming from memory, or from a cache."""
    set_cache(request.param)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 12, 16, 17, 40, 41, 63, 64])
def test_an_unusual_row_among_usual_ones(fs, cache, rng, kind, n):
    x = rng.standard_normal((1_200, n)).astype(kind)  # those after the unusual are together again
    usual = _all(fs, x)
    for place, change in zip(rng.permutation(140), UNUSUAL.values(), strict=False):
        among = x.copy()
        change(among[place])
        alone = _all(fs, among[place])
        for found, before, expected in zip(_all(fs, among), usual, alone, strict=True):
            assert_same_bits(found[place], expected)
            assert_same_bits(np.delete(found, place, 0), np.delete(before, place, 0))


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_every_number_of_rows(fs, cache, rng, kind):
    for n in (1, 2, 5, 10, 33, 50):
        x = rng.standard_normal((150, n)).astype(kind)
        whole = _all(fs, x)
        for rows in range(1, 150):
            for found, expected in zip(_all(fs, x[:rows]), whole, strict=True):
                assert_same_bits(found, expected[:rows])
