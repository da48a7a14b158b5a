"""The same values elsewhere in memory: each function returns an array equal to its argument."""

import numpy as np


def fortran_order(a):
    return np.asfortranarray(a)


def reversed_axes(a):
    flip = (slice(None, None, -1),) * a.ndim
    return np.ascontiguousarray(a[flip])[flip]


def every_other(a):
    spread = np.zeros([2 * n + 1 for n in a.shape], a.dtype)
    view = spread[tuple(slice(1, None, 2) for _ in a.shape)]
    view[...] = a
    return view


def gaps_between_rows(a):
    spread = np.zeros((*a.shape[:-1], a.shape[-1] + 3), a.dtype)
    view = spread[..., 1:-2]
    view[...] = a
    return view


def gaps_within_rows(a):
    spread = np.zeros((*a.shape, 3), a.dtype)
    spread[..., 1] = a
    return spread[..., 1]


def other_byte_order(a):
    return a.astype(a.dtype.newbyteorder())


def misaligned(a):
    buffer = np.zeros(a.nbytes + 1, np.uint8)
    view = buffer[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def field_of_packed_records(a):
    records = np.zeros(a.shape, [("before", "u1"), ("value", a.dtype), ("after", "u2")])
    records["value"] = a
    return records["value"]


def read_only(a):
    view = a.copy()
    view.flags.writeable = False
    return view


def axes_in_other_order(a):
    order = [*range(1, a.ndim), 0]
    return np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order))


ALL = (
    fortran_order,
    reversed_axes,
    every_other,
    gaps_between_rows,
    gaps_within_rows,
    other_byte_order,
    misaligned,
    field_of_packed_records,
    read_only,
    axes_in_other_order,
)


def fits(layout, a) -> bool:
    """Whether the layout exists for this array: bfloat16 knows only one byte order."""
    return not (layout is other_byte_order and a.dtype.name == "bfloat16")
