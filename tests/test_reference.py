"""The references themselves: the fast ones against mpmath, and the counting of ULP by hand."""

import families
import mpmath
import numpy as np
import pytest
import reference
from formats import FLOATS, of

HUNDREDTH = 0.01


@pytest.mark.parametrize("family", families.ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "function", [reference.softmax, reference.log_softmax, reference.logsumexp]
)
def test_fast_reference_is_within_a_hundredth_of_a_ulp(family, function, dtype):
    if reference.is_exact_only(dtype):
        pytest.skip("longdouble is float64 on this machine, so mpmath is the only reference")
    if not families.fits(family, dtype):
        pytest.skip("the family leaves the range of the dtype")
    for x in families.rows(family, dtype, (1, 2, 5, 33)):
        fast, exact = function(x), function(x, exactly=True)
        scale = exact
        if function is reference.logsumexp:
            scale = reference.logsumexp_scale(x, exact)
        assert reference.ulp_error(fast, exact, dtype, scale).max() < HUNDREDTH


def test_reference_knows_a_published_value():
    exact = reference.log_softmax(np.array([[0.0, -40.0]]), exactly=True)
    assert mpmath.almosteq(exact[0, 0], mpmath.mpf("-4.248354255291589e-18"), rel_eps=1e-15)


@pytest.mark.parametrize("form", FLOATS, ids=lambda f: f.name)
def test_ulp_error_is_one_between_neighbours(form):
    one = np.ones(1, form.dtype)
    above = np.longdouble(1) + np.longdouble(2.0) ** (1 - form.digits)
    assert reference.ulp_error(one, np.array([above]), form.dtype) == 1
    smallest = form.tiny * np.longdouble(2.0) ** (1 - form.digits)
    assert reference.ulp_error(np.zeros(1), np.array([smallest]), form.dtype) == 1
    assert reference.ulp_error(np.array([smallest]), np.zeros(1, np.longdouble), form.dtype) == 1


def test_ulp_error_counts_mpmath_numbers_alike():
    exact = np.empty(3, object)
    exact[:] = [mpmath.mpf(1) + mpmath.mpf(2) ** -52, mpmath.mpf(2) ** -1074, mpmath.mpf(0)]
    result = np.array([1.0, 0.0, 2.0**-1073])
    np.testing.assert_array_equal(reference.ulp_error(result, exact, np.float64), [1, 1, 2])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 0.0])
def test_ulp_error_is_infinite_for_the_wrong_infinity(wrong):
    exact = np.array([-np.inf if wrong != -np.inf else np.inf])
    assert reference.ulp_error(np.array([wrong]), exact, np.float32) == np.inf
    assert reference.ulp_error(exact, exact, np.float32) == 0


def test_families_stay_within_their_format():
    for form in FLOATS:
        for family in families.ALL:
            if families.fits(family, form.dtype):
                for block in families.rows(family, form.dtype, families.SHORT_LENGTHS):
                    assert block.dtype == form.dtype
                    assert np.isfinite(block.max(axis=-1).astype(np.float64)).all()


def test_subnormal_family_reaches_the_subnormals(dtype):
    if reference.is_exact_only(dtype):
        pytest.skip("longdouble is float64 on this machine")
    x = families.rows(families.subnormal_results, dtype, (300,))[0]
    exact = reference.softmax(x)
    subnormal = (exact > 0) & (exact < of(dtype).tiny)
    assert subnormal.mean() > 0.3
