"""The exponential and the logarithm of the kernels, by themselves.

(a) A term c * 2^(bias - K) * e^x is judged as such: c is a constant of the kernels, K any whole
    number from x in base 2 up to as far above as the largest element of a row can be. K changes
    nothing but the exponent of a term; so each input is judged with one K, and not all the same.
(b) float32: every number of either sign up to where rows are shifted first, and so every difference
    to a maximum beyond that. The logarithm takes float64 for float32 rows too: every float32 that
    is not negative is an argument of it.
(c) float64: numbers next to ties of the rounding to multiples of log 2 / 16 or next to those
    multiples; numbers whose result is next to a tie; for the logarithm, powers of two less 1 and
    the ends of its reduction; and random ones. From the worst of all these a search climbs, on
    every target.
(d) The bounds are those of `vector_math.pxd` and `_weighted.py`, with and without fma.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from . import exact
from .record import Kind, Record

PART = "elementary"
CHUNK = 1 << 15
RANDOM = 10**8
WHOLE = 0.01  # the share from which on the searched cases are taken whole
GENTLE = ("generic",)  # without fused multiply-add, rows are shifted much earlier
HEX = float.hex


class Range(NamedTuple):
    """Where the exponential of a dtype is used."""

    digits: int
    lowest: float  # how far below a row's largest an element counts
    limit: float  # the largest maximum that is not subtracted first
    gentle_limit: float


RANGES = {
    "float32": Range(24, 130.0, 2.0**17, 220.0),
    "float64": Range(53, 1000.0, 2.0**44, 4096.0),
}


class Exponential:
    """c * 2^bias * e^(x - n log 2), in units of 2^-24 or 2^-53 of it, and in ULP."""

    def __init__(self, dtype, packages):
        self.dtype = np.dtype(dtype)
        self.range = RANGES[self.dtype.name]
        self.packages = packages
        self.measures = (
            (f"e^x, in units of 2^-{self.range.digits}", 1.4, self.errors),
            ("e^x", 1.4, self.errors_in_ulp),
        )
        wide = exact.wide_of(self.dtype.name)
        self.unit = wide(2.0**-self.range.digits)
        self.gaps = np.arange(CHUNK) * 37 % int(self.range.lowest * exact.LOG2_E + 1)
        self.powers = np.ldexp(np.ones(CHUNK, wide), self.gaps)
        zero = np.zeros(1, dtype)
        factors = {p._target.kernels.terms(zero, zero)[1] for p in packages.values()}
        assert len(factors) == 1, "all targets use one table"
        self.factor = wide(factors.pop())

    def prepare(self, x):
        """The exact values, and what errors are relative to."""
        n, power = exact.exponential(x)
        self.K = (n + self.gaps[: x.size]).astype(self.dtype)
        self.exact = self.factor * power
        self.scale = self.exact * self.unit

    def results(self, target, x):
        return self.packages[target]._target.kernels.terms(x, self.K)[0]

    def errors(self, results):
        values = results.astype(self.exact.dtype) * self.powers[: results.size]
        return (abs(values - self.exact) / self.scale).astype(np.float64)

    def errors_in_ulp(self, results):
        return self.errors(results) * np.frexp(self.exact)[0].astype(np.float64)

    def tell(self, x, i):
        return f"x = {HEX(float(x[i]))} ({float(x[i]):.17g}), K = {self.K[i]:g}"


class Logarithm:
    """log(1 + x) in ULP."""

    dtype = np.dtype(np.float64)
    name, bound = "log(1 + x)", 1.0
    function = staticmethod(np.log1p)

    def __init__(self, packages):
        self.packages = packages
        self.measures = ((self.name, self.bound, self.errors),)

    def prepare(self, x):
        self.exact = self.function(x.astype(np.longdouble))
        self.scale = np.ldexp(1.0, np.maximum(np.frexp(self.exact)[1] - 53, -1_074))

    def results(self, target, x):
        return self.packages[target]._target.kernels.log1p(x)

    def errors(self, results):
        return abs((results.astype(np.longdouble) - self.exact).astype(np.float64)) / self.scale

    def tell(self, x, i):
        return f"x = {HEX(float(x[i]))} ({float(x[i]):.17g})"


class NarrowExponential(Logarithm):
    """e^x between -1 and 1, which weights of `logsumexp` go through, in ULP."""

    name, bound = "e^x for weights", 2.0
    function = staticmethod(np.exp)

    def results(self, target, x):
        return self.packages[target]._target.kernels.exp(x)


def sweep(record, function, family, chunks, targets):
    """Judge a function on chunks of numbers; how many there were."""
    count = 0
    for x in chunks:
        function.prepare(x)
        results = {t: function.results(t, x) for t in targets}
        for name, bound, errors in function.measures:
            record.judge(
                Kind(PART, name, function.dtype.name, family, subnormal=False),
                results,
                errors,
                lambda t, bound=bound: bound,
                lambda i, x=x: function.tell(x, i),
            )
        count += x.size
    return count


def _in_chunks(x):
    for start in range(0, x.size, CHUNK):
        yield x[start : start + CHUNK]


def every_float32(low, high, stride, dtype=np.float32) -> Iterator[np.ndarray]:
    """All float32 from low to high, both at least 0 or both at most -0.0, or every stride-th."""
    first, last = (int(np.float32(v).view(np.uint32)) for v in (low, high))
    for start in range(first, last + 1, CHUNK * stride):
        stop = min(start + CHUNK * stride, last + 1)
        yield np.arange(start, stop, stride).astype(np.uint32).view(np.float32).astype(dtype)


def _next_float32(x):
    return np.nextafter(np.float32(x), np.float32(np.copysign(np.inf, x)))


def _around(x, ulps=4):
    """The numbers and their neighbours."""
    steps = np.arange(-ulps, ulps + 1)
    return (x[:, None] + steps * np.spacing(abs(x))[:, None]).ravel()


def _towards_ties(function, x, slope):
    """x moved so that the exact result is as near to a tie of its rounding as x can bring it."""
    moved = []
    for part in _in_chunks(x):
        function.prepare(part)
        unit = np.ldexp(function.exact.dtype.type(1), np.frexp(function.exact)[1] - 53)
        tie = (np.floor(function.exact / unit) + 0.5) * unit
        moved.append((part + (tie - function.exact) * slope(function, part)).astype(np.float64))
    return np.concatenate(moved)


def _hard_exponents(function, limit, rng):
    """Numbers next to multiples and odd multiples of log 2 / 32, and ones with nearly a tie."""
    step = np.log(np.longdouble(2)) / 32
    low = np.arange(-65_536, 65_537)
    high = np.rint(2.0 ** rng.uniform(16, np.log2(limit / float(step)), 60_000))
    multiples = np.concatenate([low, high, -high])
    x = _around((multiples * step).astype(np.float64))
    small = 2.0 ** rng.uniform(-60, 0, 400_000) * rng.choice([-1, 1], 400_000)
    ties = _towards_ties(function, np.concatenate([x[::9], small]), lambda f, _: 1 / f.exact)
    x = np.concatenate([x, _around(ties, 1)])
    return x[(x >= -limit - function.range.lowest) & (x <= limit)]


def _random_exponents(limit, rng, count):
    """Of every size, and as rows have them."""
    for _ in range(0, count, 2 * CHUNK):
        sign = rng.choice(np.array([-1.0, 1.0]), CHUNK)
        yield sign * 2.0 ** rng.uniform(-60, np.log2(limit), CHUNK)
        yield rng.uniform(-min(limit, 1_100), min(limit, 1_100), CHUNK)


def _hard_sums(function, rng):
    """x whose 1 + x is next to a power of two, sqrt 2 times one or a tie, or whose result is."""
    k = np.arange(-80, 1_022)
    ends = np.concatenate([2.0**k, np.sqrt(2.0) * 2.0**k, 2.0**k - 1, np.sqrt(2.0) * 2.0**k - 1])
    ends = np.concatenate([ends, (np.sqrt(np.longdouble(2)) * 2.0**k - 1).astype(np.float64)])
    halves = (np.arange(1, 100_000, 2) + 0.5) * 2.0**-52
    x = np.concatenate([_around(ends, 40), _around(halves, 2), _around(1 / halves, 2)])
    # Where 1 + x has a few bits more than float64, its rounding loses the most.
    wide = 2.0 ** rng.integers(-52, 53, 200_000) * (1 + rng.random(200_000))
    x = np.concatenate([x, wide, np.sort(rng.random(200_000))])
    x = x[(x > 0) & (x < 2.0**1022)]
    ties = _towards_ties(function, x, lambda _, part: 1 + part.astype(np.longdouble))
    x = np.concatenate([x, _around(ties, 1)])
    return x[(x > 0) & (x < 2.0**1022)]


def _random_sums(rng, count):
    for _ in range(0, count, 4 * CHUNK):
        yield 2.0 ** rng.uniform(-1_074, 1_021.9, CHUNK)
        yield 2.0 ** rng.uniform(-60, 12, CHUNK)
        yield 2.0 ** rng.uniform(-3, 3, CHUNK)
        yield rng.random(CHUNK)


def _climb(function, targets, start, allowed, rng, rounds):
    """The worst inputs that are found from those given, moving each by few and by many ULP."""
    found = []
    for target in targets:
        x, best = start, np.empty(0)
        for _ in range(rounds + 1):
            errors = []
            for part in _in_chunks(x):
                function.prepare(part)
                errors.append(function.errors(function.results(target, part)))
            order = np.argsort(np.concatenate(errors))[::-1][:1_024]
            best = x[order]
            ulps = np.rint(2.0 ** rng.uniform(0, 44, (31, best.size)))
            ulps *= rng.choice([-1, 1], ulps.shape)
            x = np.concatenate([best, (best + ulps * np.spacing(abs(best))).ravel()])
            x = x[allowed(x)]
        found.append(best)
    return np.concatenate(found)


def _searched(record, function, hard, random, allowed, targets, rng, share):
    """Hard cases, random ones, and what a search finds from there; how many of each."""
    hard = hard[:: max(1, round(WHOLE / share))].copy()
    drawn = sweep(record, function, "random", random, targets)
    searched = sweep(record, function, "searched", _in_chunks(hard), targets)
    rounds = max(4, int(150 * share))
    start = hard[np.argsort(rng.random(hard.size))[: 2**20]]
    worst = _climb(function, targets, start, allowed, rng, rounds)
    searched += sweep(record, function, "searched", _in_chunks(worst), targets)
    searched += rounds * 2**15 * len(targets)
    record.count(PART, f"random float64 through {function.measures[-1][0]}", drawn)
    record.count(PART, f"searched float64 through {function.measures[-1][0]}", searched)


def _exponential_of_float32(record, packages, stride):
    limits = RANGES["float32"]
    fused = [t for t in packages if t not in GENTLE]
    function = Exponential(np.float32, packages)
    count = 0
    for low, high in ((0.0, limits.gentle_limit), (-0.0, -limits.gentle_limit - limits.lowest)):
        chunks = every_float32(low, high, stride)
        count += sweep(record, function, "every float32", chunks, packages)
        if fused:
            beyond = limits.limit if high > 0 else -limits.limit - limits.lowest
            chunks = every_float32(_next_float32(high), beyond, stride)
            count += sweep(record, function, "every float32", chunks, fused)
    record.count(PART, "float32 through e^x", count)


def _exponential_of_float64(record, packages, share, rng):
    limits = RANGES["float64"]
    function = Exponential(np.float64, packages)
    fused = [t for t in packages if t not in GENTLE]
    for targets, limit in ((list(packages), limits.gentle_limit), (fused, limits.limit)):
        if targets:
            _searched(
                record,
                function,
                _hard_exponents(function, limit, rng),
                _random_exponents(limit, rng, int(RANDOM * share) // 2),
                lambda x, limit=limit: (x >= -limit - limits.lowest) & (x <= limit),
                targets,
                rng,
                share,
            )
    narrow = NarrowExponential(packages)
    chunks = (rng.uniform(-1, 1, CHUNK) for _ in range(0, int(RANDOM * share) // 10, CHUNK))
    count = sweep(record, narrow, "random", chunks, packages)
    record.count(PART, f"random float64 through {narrow.name}", count)


def _logarithm(record, packages, share, stride, rng):
    function = Logarithm(packages)
    chunks = every_float32(0.0, np.finfo(np.float32).max, stride, np.float64)
    count = sweep(record, function, "every float32", chunks, packages)
    record.count(PART, f"float32 through {function.name}", count)
    _searched(
        record,
        function,
        _hard_sums(function, rng),
        _random_sums(rng, int(RANDOM * share)),
        lambda x: (x >= 0) & (x < 2.0**1022),
        list(packages),
        rng,
        share,
    )


def run(record: Record, packages, share):
    """Judge all of it, or a share of the float32 and of the random numbers."""
    rng = np.random.default_rng(20240229)
    stride = max(1, round(1 / share)) | 1
    _exponential_of_float32(record, packages, stride)
    _exponential_of_float64(record, packages, share, rng)
    _logarithm(record, packages, share, stride, rng)
