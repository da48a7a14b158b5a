"""Whatever `np.asarray` takes gives a plain array; a masked array keeps its mask."""

import array

import numpy as np
import pytest
from formats import assert_same_bits


class Subclass(np.ndarray):
    """An array with a name of its own."""


class WithArray:
    """What has `__array__` and nothing else."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


X = np.array([[1.0, 3.0, 2.0], [0.5, -1.0, 4.0]])

CONTAINERS = {
    "list": X.tolist(),
    "tuple": tuple(map(tuple, X.tolist())),
    "list of arrays": list(X),
    "list of NumPy scalars": [[np.float64(v) for v in row] for row in X],
    "subclass": X.view(Subclass),
    "matrix": X.view(np.matrix),
    "memoryview": memoryview(X),
    "object with __array__": WithArray(X),
    "sequence of array.array": [array.array("d", row) for row in X.tolist()],
}


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_a_container_gives_a_plain_array(fs, name, container, axis):
    result = getattr(fs, name)(container, axis=axis)
    expected = getattr(fs, name)(X, axis=axis)
    assert type(result) is type(expected)
    assert_same_bits(result, expected)


def test_a_memory_map_gives_a_plain_array(fs, name, tmp_path):
    stored = np.memmap(tmp_path / "x", np.float64, "w+", shape=X.shape)
    stored[...] = X
    for view in (stored, np.memmap(tmp_path / "x", np.float64, "r", shape=X.shape)):
        result = getattr(fs, name)(view, axis=-1)
        assert type(result) is np.ndarray
        assert_same_bits(result, getattr(fs, name)(X, axis=-1))


def test_a_buffer_is_a_vector(fs, name):
    values = array.array("f", [1, 2, 3])
    assert_same_bits(getattr(fs, name)(values), getattr(fs, name)(np.array([1, 2, 3], "f4")))


def test_dataframes_and_series_give_plain_arrays(fs, name):
    pandas = pytest.importorskip("pandas", reason="pandas is optional")
    frame = pandas.DataFrame(X, columns=list("abc"))
    for axis in (None, 0, 1):
        result = getattr(fs, name)(frame, axis=axis)
        expected = getattr(fs, name)(X, axis=axis)
        assert type(result) is type(expected)
        assert_same_bits(result, expected)
    result = getattr(fs, name)(frame["b"], axis=0)
    assert_same_bits(result, getattr(fs, name)(X[:, 1].copy()))
    assert not isinstance(result, pandas.Series)


def test_dataarrays_give_plain_arrays(fs, name):
    xarray = pytest.importorskip("xarray", reason="xarray is optional")
    result = getattr(fs, name)(xarray.DataArray(X, dims=("row", "column")), axis=1)
    assert type(result) is np.ndarray
    assert_same_bits(result, getattr(fs, name)(X, axis=1))


def test_tensors_on_the_cpu_give_plain_arrays(fs, name):
    torch = pytest.importorskip("torch", reason="PyTorch is optional")
    result = getattr(fs, name)(torch.tensor(X), axis=1)
    assert type(result) is np.ndarray
    assert_same_bits(result, getattr(fs, name)(X, axis=1))


def test_a_subclass_as_out_is_returned_as_it_is(fs, same_shape_name):
    out = np.zeros_like(X).view(Subclass)
    assert getattr(fs, same_shape_name)(X, axis=-1, out=out) is out
    assert_same_bits(out.view(np.ndarray), getattr(fs, same_shape_name)(X, axis=-1))


def test_the_weights_of_a_container_are_taken_too(fs):
    expected = fs.logsumexp(X, axis=1, b=np.array([1.0, 2, 3]))
    assert_same_bits(fs.logsumexp(X.tolist(), axis=1, b=[1.0, 2, 3]), expected)
    assert_same_bits(fs.logsumexp(X, axis=1, b=WithArray([1.0, 2, 3])), expected)


MASK = np.array([[False, True, False], [False, False, True]])


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
def test_a_mask_is_honoured_and_kept(fs, same_shape_name, axis):
    masked = np.ma.array(X, mask=MASK)
    result = getattr(fs, same_shape_name)(masked, axis=axis)
    assert isinstance(result, np.ma.MaskedArray)
    np.testing.assert_array_equal(np.ma.getmaskarray(result), MASK)
    expected = getattr(fs, same_shape_name)(X, axis=axis, where=~MASK)
    assert_same_bits(result.data[~MASK], expected[~MASK])


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
def test_a_mask_is_honoured_by_logsumexp_in_a_plain_result(fs, axis):
    result = fs.logsumexp(np.ma.array(X, mask=MASK), axis=axis)
    assert not isinstance(result, np.ma.MaskedArray)
    assert_same_bits(result, fs.logsumexp(X, axis=axis, where=~MASK))


def test_masked_elements_may_hold_anything_silently(fs, name):
    for content in (np.nan, np.inf, -np.inf):
        x = np.where(MASK, content, X)
        with np.errstate(all="raise"):
            result = getattr(fs, name)(np.ma.array(x, mask=MASK), axis=1)
        if name == "logsumexp":
            assert np.isfinite(result).all()
        else:
            assert np.isfinite(result.compressed()).all()


def test_mask_and_where_both_remove(fs, name):
    where = np.array([[True, True, False], [True, True, True]])
    result = getattr(fs, name)(np.ma.array(X, mask=MASK), axis=1, where=where)
    expected = getattr(fs, name)(X, axis=1, where=where & ~MASK)
    if name == "logsumexp":
        assert_same_bits(result, expected)
    else:
        assert_same_bits(result.data[~MASK], expected[~MASK])
        np.testing.assert_array_equal(np.ma.getmaskarray(result), MASK)


def test_a_masked_array_without_a_mask_is_an_array(fs, name):
    masked = np.ma.array(X)
    result = getattr(fs, name)(masked, axis=1)
    assert isinstance(result, np.ma.MaskedArray) == (name != "logsumexp")
    assert_same_bits(np.asarray(result), getattr(fs, name)(X, axis=1))


def test_a_masked_array_of_integers(fs, name):
    masked = np.ma.array([1, 99, 2], mask=[False, True, False])
    result = getattr(fs, name)(masked)
    assert result.dtype == np.float64
    expected = getattr(fs, name)(np.array([1.0, 2.0]))
    np.testing.assert_allclose(
        result if name == "logsumexp" else result.compressed(), expected, rtol=1e-15
    )


def test_a_fully_masked_slice_is_silent(fs):
    masked = np.ma.array(X, mask=[[True] * 3, [False] * 3])
    assert np.isneginf(fs.logsumexp(masked, axis=1)[0])
    assert fs.softmax(masked, axis=1)[0].mask.all()


def test_a_mask_is_not_written_and_not_shared(fs, same_shape_name):
    masked = np.ma.array(X, mask=MASK)
    result = getattr(fs, same_shape_name)(masked, axis=1)
    result[0, 0] = np.ma.masked
    np.testing.assert_array_equal(masked.mask, MASK)
    assert (masked.data == X).all()


def test_inputs_are_never_written(fs, name, rng):
    for x in (rng.standard_normal((30, 40)), rng.standard_normal((30, 40)).astype("f2")):
        before = x.copy()
        for view in (x, x.T, x[::2], x[:, ::-1]):
            for axis in (None, 0, 1):
                getattr(fs, name)(view, axis=axis)
        assert_same_bits(x, before)


def test_a_generator_is_a_type_error(fs, name):
    with pytest.raises(TypeError):
        getattr(fs, name)(i for i in range(3))
