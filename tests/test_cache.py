"""The size of the last-level cache decides how rows are read, and nothing else."""

import os
import subprocess
import sys

import numpy as np
import pytest
from formats import assert_same_bits

SIZES = (1, 100_000, 1_000_000, 1 << 27)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 5_000), (2, 140_000), (1, 300_001)])
def test_it_changes_no_bit(fs, set_cache, rng, kind, shape):
    for spread in (1, 90):
        x = (spread * rng.standard_normal(shape)).astype(kind)
        results = []
        for size in SIZES:
            set_cache(size)
            in_place = x.copy()
            fs.softmax(in_place, -1, out=in_place)
            results.append(
                (fs.softmax(x, -1), in_place, fs.log_softmax(x, -1), fs.logsumexp(x, -1))
            )
        for result in results[1:]:
            for got, expected in zip(result, results[0], strict=True):
                assert_same_bits(got, expected)
        assert_same_bits(results[0][0], results[0][1])


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("n", [5_000, 5_001, 5_015])
def test_it_changes_no_bit_of_small_results_alone_in_a_row(fs, set_cache, rng, kind, n):
    x = rng.standard_normal((60, n)).astype(kind)
    depths = rng.uniform(88, 102, 60) if kind == np.float32 else rng.uniform(710, 742, 60)
    for place in (0, 2_500, n - 9, n - 1):
        deep = x.copy()
        deep[:, place] -= depths
        results = []
        for size in (SIZES[0], SIZES[-1]):
            set_cache(size)
            results.append(fs.softmax(deep, -1))
        assert_same_bits(*results)
        assert (results[0][:, place] < np.finfo(kind).tiny).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(40, 100), (7, 700), (3, 5_000)])
def test_it_changes_no_bit_of_a_gradient(fs, set_cache, rng, kind, shape):
    g, x = rng.standard_normal((2, *shape)).astype(kind)
    y, logp = fs.softmax(x, -1), fs.log_softmax(x, -1)
    for product, values in (
        (fs.softmax_vjp, y),
        (fs.log_softmax_vjp, logp),
        (fs.log_softmax_jvp, logp),
    ):
        expected = np.array([product(*row) for row in zip(g, values, strict=True)])
        for size in SIZES:
            set_cache(size)
            for which in (0, 1):
                arrays = [g.copy(), values.copy()]
                product(*arrays, -1, out=arrays[which])
                assert_same_bits(arrays[which], expected)
            assert_same_bits(product(g, values, -1), expected)


def test_the_environment_overrides_what_the_system_tells(fs):
    assert fs._cache.size("123456") == 123456
    assert fs._cache.size("1") == 1
    assert fs._cache.size(str(1 << 40)) == fs._cache.LARGEST
    assert 0 < fs._cache.size(None) <= fs._cache.LARGEST
    assert fs._cache.size("") == fs._cache.size(None)


@pytest.mark.parametrize("size", ["0", "-5", "8M", "many", "1.5"])
def test_what_is_no_size_is_an_error_that_names_the_variable(size):
    environment = os.environ | {"FASTSOFTMAX_CACHE": size}
    done = subprocess.run(
        [sys.executable, "-c", "import fastsoftmax"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"ImportError: FASTSOFTMAX_CACHE={size!r} is not a number of bytes" in done.stderr


def test_a_system_that_tells_nothing_has_the_default(fs, monkeypatch, tmp_path):
    monkeypatch.setattr(fs._cache, "_SIZES", str(tmp_path / "index{}"))
    assert fs._cache.size(None) == fs._cache.DEFAULT
    (tmp_path / "index2").write_text("1024K\n")
    assert fs._cache.size(None) == 1 << 20
    (tmp_path / "index3").write_text("no size")
    assert fs._cache.size(None) == 1 << 20
    (tmp_path / "index3").write_text("32M\n")
    assert fs._cache.size(None) == 32 << 20
    (tmp_path / "index3").write_text("1G\n")
    assert fs._cache.size(None) == fs._cache.LARGEST
