"""Every decision of a random call is a small integer that is written down; 0 is the simplest.

(a) What made a call can therefore be made again, and simpler: `shrink` deletes and lowers the
    numbers as long as the failure stays. It knows nothing of shapes, options or values.
(b) Where the numbers end, zeros follow.
"""

import random
import time


class Choices:
    """A source of integers, random or given, that keeps a record of them."""

    def __init__(self, seed=None, given=None):
        self.is_replay = given is not None
        self.record = []
        self._random = random.Random(seed).random
        self._given = iter(given or ())

    def draw(self, count):
        """An integer from 0 to below count."""
        value = int(self._random() * count)
        if self.is_replay:
            value = min(next(self._given, 0), count - 1)
        self.record.append(value)
        return value

    def pick(self, options):
        """One of the options, of which the first is the simplest."""
        return options[self.draw(len(options))]

    def once_in(self, count):
        """True once in so many times."""
        return self.draw(count) == count - 1


def _shorter(record):
    """Records with some numbers left out or set to 0, the simplest first."""
    size = len(record)
    while size:
        for start in range(0, len(record), size):
            yield record[:start] + record[start + size :]
            yield record[:start] + [0] * len(record[start : start + size]) + record[start + size :]
        size //= 2


def _lower(record):
    for place, value in enumerate(record):
        for less in (0, value // 2, value - 1):
            if 0 <= less < value:
                yield [*record[:place], less, *record[place + 1 :]]


def shrink(record, fails, seconds):
    """A simpler record for which `fails` is still true."""
    end = time.monotonic() + seconds
    progress = True
    while progress and time.monotonic() < end:
        progress = False
        for simplify in (_shorter, _lower):
            again = True
            while again and time.monotonic() < end:
                again = False
                for candidate in simplify(record):
                    if time.monotonic() > end:
                        break
                    if candidate != record and fails(candidate):
                        record, progress, again = candidate, True, True
                        break
    return record
