"""Accuracy: the largest error of everything that rounds, on every target, against its bound.

    python -m proof.sweep [--quick] [--target NAME ...] [--write docs/accuracy.md]

(a) `elementary` takes the exponential and the logarithm of the kernels by themselves: every float32
    there is, and for float64 searched cases and random ones. `functions` takes the public functions
    on the families of rows the tests know, and `halves` every number of float16 and bfloat16.
(b) Each draws a case once, computes the exact values once and judges all targets by them; results
    of the bits of a target judged before have its errors (`record`).
(c) The exact values are in float64 for float32 and narrower, and in longdouble for float64. The
    references of the tests are compared with mpmath there; those of this package, before they are
    used (`exact`).
(d) `--share` makes everything smaller alike: a share of 0.01 takes every 101st float32, and a
    hundredth of the random numbers and rows. The searched cases become fewer below that only, and
    the halves' numbers never. `tools/aarch64.sh --module proof.sweep --share 0.0005` emulates NEON.
"""
