"""Where the results differ from SciPy's on purpose. Everywhere else SciPy's own tests must pass.

Only our side is asserted: SciPy may change its own.
"""

import numpy as np
import pytest


def test_integers_of_every_width_compute_in_float64(fs):
    expected = fs.softmax(np.array([3.0, 1.0, 2.0]))
    for kind in np.typecodes["AllInteger"]:
        result = fs.softmax(np.array([3, 1, 2], kind))
        assert result.dtype == np.float64
        np.testing.assert_array_equal(result, expected)


def test_booleans_are_numbers(fs):
    np.testing.assert_array_equal(
        fs.softmax(np.array([True, False])), fs.softmax(np.array([1.0, 0.0]))
    )


def test_small_unsigned_integers_do_not_wrap_around(fs):
    np.testing.assert_allclose(
        fs.softmax(np.array([3, 1, 2], np.uint8)),
        [0.6652409557748219, 0.09003057317038046, 0.24472847105479764],
        rtol=1e-15,
    )


def test_columns_of_float16_sum_to_one(fs):
    p = fs.softmax(np.zeros((4096, 2), np.float16), axis=0)
    np.testing.assert_array_equal(p.astype(np.float64).sum(axis=0), [1, 1])


def test_log_softmax_is_accurate_near_zero(fs):
    result = fs.log_softmax([0.0, -40.0])
    np.testing.assert_allclose(result, [-4.248354255291589e-18, -40], rtol=1e-15)


def test_logsumexp_of_an_empty_reduction_of_several_axes(fs):
    result = fs.logsumexp(np.zeros((2, 0, 3)), axis=(1, 2))
    np.testing.assert_array_equal(result, [-np.inf, -np.inf])
    assert fs.logsumexp(np.zeros((0, 3)), axis=(0, 1)) == -np.inf


def test_masks_are_honoured(fs):
    x = np.ma.array([0.0, 99.0, 0.0], mask=[False, True, False])
    p = fs.softmax(x)
    assert p.tolist() == [0.5, None, 0.5]
    assert fs.logsumexp(x) == fs.logsumexp([0.0, 0.0])


@pytest.mark.parametrize("x", [[0.0, -1e4], [0.0, -730.0], [1.7e308, -1.7e308], [800.0, 0.0]])
def test_right_results_are_no_reason_to_warn(fs, name, x):
    with np.errstate(all="raise"):
        getattr(fs, name)(np.array(x))


def test_a_weight_of_zero_always_removes(fs):
    assert fs.logsumexp([800.0, 800.0], b=[1, -1]) == -np.inf
    assert fs.logsumexp([np.inf, -np.inf], b=[0, 1]) == -np.inf


@pytest.mark.parametrize(
    "x", [np.array(["1"]), np.array(["2020-01-01"], "M8[D]"), np.array([], "U1")], ids=str
)
def test_text_and_dates_are_refused_by_logsumexp_too(fs, x):
    with pytest.raises(TypeError):
        fs.logsumexp(x)
