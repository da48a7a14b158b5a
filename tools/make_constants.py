"""Derive every constant of `src/fastsoftmax/kernels/arithmetic/constants.hpp` and print that file.

    python tools/make_constants.py > src/fastsoftmax/kernels/arithmetic/constants.hpp

(a) The exponential. With E = 16 table entries, n = round(x * E / ln 2), t = x - n * (ln 2) / E and
    n = E*k + j, e^x = 2^k * 2^(j/E) * e^t with |t| <= ln 2 / (2E). e^t - 1 is t + t^2 * p(t), p
    minimax by the Remez exchange.
(b) (ln 2) / E as two terms for targets with fma (Cody and Waite 1980), and as three terms whose
    first two end in so many zeros that their product with n is exact for targets without.
(c) The table is stored with j already taken off the exponent field, so that adding the bits of n,
    shifted into the exponent, both removes that j and scales by 2^k. All entries carry a factor
    that makes their roundings small; tools/search_table_factor.py found it, and it drops out of
    every quotient.
(d) The logarithm. log m = log((1+s)/(1-s)) = 2s + s*z*q(z), z = s^2, s = (m-1)/(m+1), for m in
    [sqrt(1/2), sqrt(2)]; q minimax as above. ln 2 in two terms whose first keeps 11 trailing zeros,
    so its product with an exponent is exact.
Needs mpmath.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from mpmath import matrix, mp, mpf

mp.dps = 60

FORMATS = {"float": 24, "double": 53}
ENTRIES = 16
TERMS = {"float": 2, "double": 5}  # coefficients of p
LOG_TERMS = 7
# From tools/search_table_factor.py: the largest relative error of an entry is 0.27 units of 2^-24,
# and 0.21 of 2^-53.
FACTORS = {"float": "0x1.02946e17628f2p+0", "double": "0x1.00df28f9e6ee5p+0"}
# How many bits an n may have on a target without fma, where n * ln2_first must be exact.
BITS_OF_N = {"float": 13, "double": 17}


def rounded(value: mpf, bits: int) -> mpf:
    """Round to nearest with `bits` bits of significand."""
    if value == 0:
        return mpf(0)
    mantissa, exponent = mp.frexp(value)
    return mp.ldexp(mp.nint(mp.ldexp(mantissa, bits)), exponent - bits)


def remez(
    target: Callable[[mpf], mpf],
    weight: Callable[[mpf], mpf],
    lower: mpf,
    upper: mpf,
    terms: int,
    first_power: int,
) -> list[mpf]:
    """Coefficients c with the smallest largest error on [lower, upper].

    The error is weight(t) * (target(t) - sum c_i t^(first_power + i)).
    """
    middle, half = (lower + upper) / 2, (upper - lower) / 2
    points = [middle - half * mp.cos(mp.pi * i / terms) for i in range(terms + 1)]
    coefficients: list[mpf] = []

    def error(t: mpf) -> mpf:
        fit = sum(c * t ** (first_power + i) for i, c in enumerate(coefficients))
        return weight(t) * (target(t) - fit)

    for _ in range(12):
        system = matrix(terms + 1, terms + 1)
        right = matrix(terms + 1, 1)
        for row, t in enumerate(points):
            for i in range(terms):
                system[row, i] = weight(t) * t ** (first_power + i)
            system[row, terms] = (-1) ** row
            right[row] = weight(t) * target(t)
        solution = mp.lu_solve(system, right)
        coefficients = [solution[i] for i in range(terms)]
        grid = [middle - half * mp.cos(mp.pi * i / 600) for i in range(601)]
        runs: list[tuple[mpf, mpf]] = []
        for t in grid:
            value = error(t)
            if runs and (value > 0) == (runs[-1][1] > 0):
                if abs(value) > abs(runs[-1][1]):
                    runs[-1] = (t, value)
            else:
                runs.append((t, value))
        while len(runs) > terms + 1:
            runs.pop(0 if abs(runs[0][1]) < abs(runs[-1][1]) else -1)
        if len(runs) < terms + 1:
            break
        points = [t for t, _ in runs]
    return coefficients


def literal(value: mpf, kind: str) -> str:
    """A hexadecimal literal, which every C++17 compiler reads exactly."""
    digits = float(value).hex()
    return re.sub(r"0+p", "p", digits).replace(".p", ".0p") + ("f" if kind == "float" else "")


def constant(kind: str, name: str, value: mpf, note: str = "") -> str:
    """A member function of a struct that returns the value."""
    code = f"    static constexpr {kind} {name}() {{ return {literal(value, kind)}; }}"
    return f"{code}  // {note}" if note else code


def exponential(kind: str) -> list[str]:
    bits = FORMATS[kind]
    factor = mpf(float.fromhex(FACTORS[kind]))
    step = mp.log(2) / ENTRIES
    radius = step / 2
    high = rounded(step, bits)
    low = rounded(step - high, bits)
    short = bits - BITS_OF_N[kind]
    first = rounded(step, short)
    second = rounded(step - first, short)
    third = rounded(step - first - second, bits)
    fit = remez(lambda t: mp.expm1(t) - t, lambda t: mp.exp(-t), -radius, radius, TERMS[kind], 2)
    fit = [rounded(c, bits) for c in fit]
    worst = max(
        abs((1 + t + sum(c * t ** (2 + i) for i, c in enumerate(fit))) / mp.exp(t) - 1)
        for t in [radius * mpf(i) / 500 for i in range(-500, 501)]
    )
    magic = mpf(3) * mpf(2) ** (bits - 2)
    inverse_high = rounded(1 / factor, 53)
    inverse_low = rounded(1 / factor - inverse_high, 53)
    lines = [
        f"// Relative error of the polynomial: {mp.nstr(worst, 3)},"
        f" which is {mp.nstr(worst * mpf(2) ** bits, 3)} units of 2^-{bits}.",
        f"template <> struct exponential<{kind}> {{",
        constant(kind, "steps_per_unit", rounded(1 / step, bits), f"{ENTRIES} / ln 2"),
        constant(kind, "magic", magic, f"adding it rounds to an integer: 1.5 * 2^{bits - 1}"),
        constant(kind, "step_high", high, f"high + low = (ln 2) / {ENTRIES}"),
        constant(kind, "step_low", low),
        constant(kind, "step_first", first, f"first + second + third = (ln 2) / {ENTRIES}"),
        constant(kind, "step_second", second),
        constant(kind, "step_third", third),
        "    // The coefficients of t^2, t^3, ...",
        f"    static constexpr {kind} coefficient(int power) {{",
        f"        constexpr {kind} values[{len(fit)}] = {{",
        *[f"            {literal(c, kind)}," for c in fit],
        "        };",
        "        return values[power - 2];",
        "    }",
        constant("double", "table_factor", factor),
        "    // high + low = 1 / table_factor",
        constant("double", "inverse_factor_high", inverse_high),
        constant("double", "inverse_factor_low", inverse_low),
        f"    // table_factor * 2^(j/{ENTRIES}), its exponent field lowered by j/{ENTRIES}",
        f"    static const {kind}* table() {{",
        f"        alignas(64) static constexpr {kind} values[{ENTRIES}] = {{",
    ]
    for j in range(ENTRIES):
        value = float(rounded(factor * mpf(2) ** (mpf(j) / ENTRIES), bits))
        if kind == "float":
            field = struct.unpack("<I", struct.pack("<f", value))[0]
            shifted = struct.unpack("<f", struct.pack("<I", field - (j << 19)))[0]
        else:
            field = struct.unpack("<Q", struct.pack("<d", value))[0]
            shifted = struct.unpack("<d", struct.pack("<Q", field - (j << 48)))[0]
        lines.append(f"            {literal(mpf(shifted), kind)},")
    return [*lines, "        };", "        return values;", "    }", "};", ""]


def logarithm() -> list[str]:
    upper = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)

    def q(z: mpf) -> mpf:
        if z <= mpf(10) ** -12:  # the difference below would lose its digits
            return mpf(2) / 3 + mpf(2) / 5 * z
        s = mp.sqrt(z)
        return (mp.log((1 + s) / (1 - s)) - 2 * s) / (s * z)

    fit = remez(q, lambda z: z, mpf(10) ** -8, upper**2, LOG_TERMS, 0)
    fit = [rounded(c, 53) for c in fit]
    worst = max(
        abs(z * (sum(c * z**i for i, c in enumerate(fit)) - q(z)) / 2)
        for z in [upper**2 * mpf(i) / 500 for i in range(1, 501)]
    )
    ln2_high = rounded(mp.log(2), 53 - 11)
    ln2_low = rounded(mp.log(2) - ln2_high, 53)
    return [
        f"// Relative error of the polynomial: {mp.nstr(worst, 3)}.",
        "struct logarithm {",
        constant("double", "ln2_high", ln2_high, "high + low = ln 2"),
        constant("double", "ln2_low", ln2_low),
        constant("double", "sqrt2", rounded(mp.sqrt(2), 53)),
        "    // The coefficients of z, z^2, ...",
        "    static constexpr double coefficient(int power) {",
        f"        constexpr double values[{LOG_TERMS}] = {{",
        *[f"            {literal(c, 'double')}," for c in fit],
        "        };",
        "        return values[power - 1];",
        "    }",
        "};",
        "",
    ]


def main() -> None:
    print(
        "// The constants of the exponential and the logarithm."
        " Derived, with the reasons, by tools/make_constants.py."
    )
    print("#pragma once\n\nnamespace constants {\nnamespace {\n")
    print("template <class T> struct exponential;\n")
    for kind in FORMATS:
        print("\n".join(exponential(kind)))
    print("\n".join(logarithm()))
    print("}  // namespace\n}  // namespace constants")


if __name__ == "__main__":
    main()
