"""`python -m proof.fuzz [--quick] [--target T ...] [--calls N] [--minutes M] [--seed S]`."""

import argparse
import collections
import sys
import time

import targets

from . import invalid
from .arrangement import Arrangement
from .banks import forward_bank, jacobian_bank, reduction_bank, weighted_bank
from .calls import Caller, quiet
from .choices import Choices, shrink
from .failure import Failure
from .formulas import formula_bank
from .losses import loss_bank
from .states import StateCase
from .world import sizes

BANKS = (
    *(forward_bank,) * 4,
    *(jacobian_bank,) * 3,
    *(loss_bank,) * 2,
    reduction_bank,
    weighted_bank,
    formula_bank,
)
ARRANGEMENTS, CALLS = 40, 12


def draw_bank(choices, fs):
    return choices.pick(BANKS)(choices, fs)


def draw_arrangement(choices, bank):
    largest = 400_000 if choices.once_in(1_500) else choices.pick([100, 100, 300, 300, 2_000])
    return Caller(choices, bank, Arrangement(choices, bank, largest))


def draw_call(choices, caller):
    if choices.once_in(10):
        invalid.call(caller)
    else:
        caller.call()


def replay(record, fs):
    """Make the call of a record again; the failure, if it fails again."""
    choices = Choices(given=record)
    try:
        with sizes(choices):
            if choices.draw(12) == 11:
                StateCase(choices, fs).call()
            else:
                draw_call(choices, draw_arrangement(choices, draw_bank(choices, fs)))
    except Failure as failure:
        return failure
    return None


def run_bank(choices, fs, counts):
    """A bank, its arrangements and their calls. A failure leaves the record of its call alone."""
    with sizes(choices):
        if choices.draw(12) == 11:
            case = StateCase(choices, fs)
            beginning = list(choices.record)
            for _ in range(20):
                choices.record[:] = beginning
                counts["states"] += case.call()
            return
        bank = draw_bank(choices, fs)
        counts["banks"] += 1
        after_bank = list(choices.record)
        for _ in range(ARRANGEMENTS):
            choices.record[:] = after_bank
            caller = draw_arrangement(choices, bank)
            after_arrangement = list(choices.record)
            for _ in range(CALLS):
                choices.record[:] = after_arrangement
                draw_call(choices, caller)
                counts["calls"] += 1
            if wrong := caller.inputs_changed():
                raise Failure(wrong, "")


def fuzz(target, seed, calls, seconds):
    """Calls of one target until there are so many, or the time is over. Returns how many."""
    fs = targets.activate(target)
    counts, end, number = collections.Counter(), time.monotonic() + seconds, 0
    while counts["calls"] + counts["states"] < calls and time.monotonic() < end:
        choices = Choices(seed=f"{seed} {number}")
        number += 1
        try:
            run_bank(choices, fs, counts)
        except Failure as failure:
            tell(failure, list(choices.record), fs, f"seed {seed}, bank {number - 1}")
            return None
        except Exception:
            print(f"{target}: seed {seed}, bank {number - 1}, choices {choices.record}")
            raise
    total = counts["calls"] + counts["states"]
    print(f"{target}: {total:,} calls on {counts['banks']:,} banks, all as they should be")
    return total


def tell(failure, record, fs, where):
    """Print the failure, and the simplest call that fails."""
    print(f"{fs._target.name}, {where}: {failure}")
    if replay(record, fs) is None:
        print("alone, that call is right: it depends on those before it")
        return
    record = shrink(record, lambda candidate: _fails_alike(candidate, fs, str(failure)), 60)
    failure = replay(record, fs)
    print(f"simplest: {failure}\n# choices {record}\n{failure.snippet}", flush=True)


def _fails_alike(record, fs, message):
    """Whether this fails, too, and for the same reason by the first words of the message."""
    try:
        failure = replay(record, fs)
    except Exception:
        return False
    return failure is not None and _kind(str(failure)) == _kind(message)


def _kind(message):
    return [word for word in message.partition(":")[2].split() if word.isalpha()][:4]


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m proof.fuzz", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some seconds for each target")
    parser.add_argument("--target", nargs="+", default=None, choices=targets.ALL)
    parser.add_argument("--calls", type=int, default=10_000_000, help="for each target")
    parser.add_argument("--minutes", type=float, default=600, help="at most, for each target")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    quiet()
    chosen = options.target or targets.runnable()
    calls, seconds = options.calls, 60 * options.minutes
    if options.quick:
        calls, seconds = min(calls, 60_000), 13
    totals = {target: fuzz(target, options.seed, calls, seconds) for target in chosen}
    failed = [target for target, total in totals.items() if total is None]
    figures = ", ".join(f"{t} {n:,} calls" for t, n in totals.items() if n is not None)
    print(f"fuzz: {figures}; {len(failed)} failures {' '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
