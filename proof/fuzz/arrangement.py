"""Rows become arrays: which rows, of which shape, along which axes, where in memory.

(a) All arguments of a call are made from rows (rows, n) by one arrangement: rows are chosen, with
    repetitions, the kept axes split, the reduced axis split, and all axes put in some order.
(b) The arrays are then laid out one by one, anywhere in memory; their values stay.
(c) Long slices are alone in one call of two: some ways are taken by a single slice only.
"""

import layouts
import numpy as np

from .world import SMALL

FULL, ROWS, CLASSES = "full", "rows", "classes"


def _divide(choices, n):
    """n as the lengths of one axis, or of two."""
    if choices.draw(4) < 3:
        return [n]
    divisors = [d for d in range(1, min(n, 64) + 1) if n % d == 0]
    first = choices.pick(divisors)
    return [n // first, first]


class Arrangement:
    """A choice of rows, of a shape, and of the axes that are reduced."""

    def __init__(self, choices, bank, largest):
        self.bank = bank
        rows, n = bank.rows, bank.n
        room = max(largest // n, 1)
        self.kept = [] if n > SMALL["BOX"] and choices.draw(2) else self._draw_kept(choices, room)
        count = 1
        for length in self.kept:
            count *= length
        first, step = choices.draw(rows), choices.draw(rows)
        self.index = (first + step * np.arange(count)) % rows
        self.reduced = [n] if bank.one_axis else _divide(choices, n)
        if n == 1 and not bank.one_axis and choices.once_in(3):
            self.reduced = []
        ndim = len(self.kept) + len(self.reduced)
        # By default rows lie in C order; the reduced axes are put elsewhere in two of three.
        places = list(range(len(self.kept), ndim))
        if choices.draw(3):
            places = self._draw_places(choices, ndim)
        self.places = places
        others = [i for i in range(ndim) if i not in places]
        self.order = [0] * ndim
        for position, place in enumerate(others + places):
            self.order[place] = position
        self.kept_shape = tuple(self.kept)
        self.full_shape = (*self.kept, *self.reduced)
        self.shape = tuple(self.full_shape[i] for i in self.order)
        self.is_moved = self.order != sorted(self.order)
        self.axis = self._draw_axis(choices)

    @staticmethod
    def _draw_kept(choices, room):
        kind = choices.draw(10)
        if kind < 1:
            return []
        if kind < 4:
            return [1 + choices.draw(min(room, 6))]
        if kind < 6:
            return [choices.draw(min(room, 150) + 1)]
        if kind < 7:
            return [1 + choices.draw(room)]
        lengths = []
        for _ in range(2 + choices.draw(2)):
            lengths.append(1 + choices.draw(min(room, 7)))
            room = max(room // lengths[-1], 1)
        if kind == 9:
            lengths[choices.draw(len(lengths))] *= 1 + choices.draw(min(room, 40))
        return lengths

    def _draw_places(self, choices, ndim):
        """Where the reduced axes stand, in increasing order."""
        places = set()
        while len(places) < len(self.reduced):
            place = choices.draw(ndim)
            while place in places:
                place = (place + 1) % ndim
            places.add(place)
        return sorted(places)

    def _draw_axis(self, choices):
        ndim, places = len(self.shape), self.places
        if self.bank.one_axis:
            return places[0] - ndim * choices.draw(2)
        if not self.kept and choices.draw(2):
            return None
        signed = [place - ndim * choices.draw(2) for place in places]
        if len(signed) != 1 or choices.once_in(8):
            return tuple(reversed(signed)) if choices.draw(2) else tuple(signed)
        return signed[0] if choices.draw(8) else np.int64(signed[0])

    def full(self, rows):
        """An array of the full shape from (rows, n)."""
        array = rows[self.index].reshape(self.full_shape)
        return array.transpose(self.order) if self.is_moved else array

    def reduce(self, rows, keepdims=False):
        """An array of the kept shape from (rows,)."""
        array = rows[self.index]
        if not keepdims:
            return array.reshape(self.kept_shape)
        places = self.places
        return array.reshape([1 if i in places else n for i, n in enumerate(self.shape)])

    def common(self, row):
        """One row for all of them, as an array that broadcasts to the full shape."""
        array = row.reshape([*[1] * len(self.kept), *self.reduced])
        return array.transpose(self.order)


def strided(choices, a):
    """A view with axes in any order, gaps, reversed axes and an odd first address."""
    order, steps = list(range(a.ndim)), []
    if a.ndim > 1 and choices.draw(2):
        order.insert(choices.draw(a.ndim), order.pop())
    for _ in order:
        steps.append(choices.pick((1, 1, 1, -1, 2, 3, -2)))
    gap, shift = choices.draw(3), choices.draw(2)
    shape = [a.shape[axis] * abs(step) for axis, step in zip(order, steps, strict=True)]
    if shape:
        shape[-1] += gap
    count = 1
    for length in shape:
        count *= length
    memory = np.zeros(count * a.itemsize + shift, np.uint8)
    view = memory[shift:].view(a.dtype).reshape(shape)
    if gap and shape:
        view = view[..., :-gap]
    view = view[tuple([slice(None, None, step) for step in steps])]
    view = view.transpose([order.index(axis) for axis in range(a.ndim)])
    view[...] = a
    return view


def lay_out(choices, a, writeable=False):
    """An array of the same values somewhere in memory, sometimes just a plain copy."""
    kind = choices.draw(8)
    if kind < 3 or a.ndim == 0:
        return np.array(a, order="C")
    if kind == 3:
        return np.array(a, order="F")
    if kind == 4:
        return strided(choices, a)
    layout = choices.pick(layouts.ALL)
    plain = np.array(a, order="C")
    if not layouts.fits(layout, a) or (writeable and layout is layouts.read_only):
        return plain
    return layout(plain)
