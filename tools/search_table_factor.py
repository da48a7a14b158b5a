"""Search the factor c that makes the entries c * 2^(j/16) of the exponential's table almost exact.

    python tools/search_table_factor.py float
    python tools/search_table_factor.py double

Prints each better factor as it is found, with the largest relative error of an entry in units of
2^-24 or 2^-53; without a factor that error is 0.97 for float. The random numbers are seeded: the
factors in `make_constants.py` come out again, the double one after a few minutes. Needs NumPy with
an 80-bit or longer longdouble.
"""

import sys

import numpy as np

TRIALS = 1 << 20
ROUNDS = {"float": 60, "double": 60}


def search(kind: str) -> None:
    bits = {"float": 24, "double": 53}[kind]
    rng = np.random.default_rng(1)
    powers = np.exp2(np.arange(16, dtype=np.longdouble) / 16)
    best = np.inf
    for _ in range(ROUNDS[kind]):
        factors = rng.uniform(1, 2 ** (1 / 16), TRIALS)
        worst = np.zeros(TRIALS)
        for power in powers:
            entry = factors.astype(np.longdouble) * power
            ulp = np.ldexp(np.where(entry >= 2, np.longdouble(2), np.longdouble(1)), 1 - bits)
            error = np.abs(entry / ulp - np.rint(entry / ulp)) * ulp / entry
            worst = np.maximum(worst, np.ldexp(error, bits).astype(float))
            factors, worst = factors[worst < best], worst[worst < best]
            if not len(factors):
                break
        else:
            best = worst.min()
            print(f"{best:.4f}  {factors[worst.argmin()].hex()}", flush=True)


if __name__ == "__main__":
    search(sys.argv[1])
