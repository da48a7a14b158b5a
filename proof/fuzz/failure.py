"""What a failed call is told by: a message, and the call as a program that runs on its own."""

import numpy as np


class Failure(Exception):
    """A call did not do what it promises; `snippet` is the program that shows it."""

    def __init__(self, message, snippet):
        super().__init__(message)
        self.snippet = snippet


def _memory(arrays):
    """The arrays by the memory they share: (first byte, end, arrays) of each."""
    groups = []
    for array in sorted(arrays, key=lambda a: np.lib.array_utils.byte_bounds(a)[0]):
        low, high = np.lib.array_utils.byte_bounds(array)
        if groups and low < groups[-1][1]:
            groups[-1][1] = max(high, groups[-1][1])
            groups[-1][2].append(array)
        else:
            groups.append([low, high, [array]])
    return groups


def _bytes_at(low, high):
    """A copy of the memory between two addresses."""
    import ctypes

    return ctypes.string_at(low, high - low)


class Snippet:
    """A call as source code; the arguments are copied as they are before the call."""

    def __init__(self, target, function, arguments, options):
        self._lines, self._names = [], {}
        arrays = {}
        for value in (*arguments, *options.values()):
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, np.ndarray) and each.size:
                    arrays[id(each)] = each
        for number, (low, high, members) in enumerate(_memory(arrays.values())):
            # Malloc may leave arrays 1 byte apart from where the original began to be aligned.
            start = low - low % 64
            memory = _bytes_at(low, high)
            self._lines.append(
                f"memory{number} = aligned({low - start}, bytes.fromhex({memory.hex()!r}))"
            )
            for array in members:
                self._add_array(array, f"memory{number}", start)
        shown = [self._show(value) for value in arguments]
        shown += [f"{name}={self._show(value)}" for name, value in options.items()]
        self._head = [
            "import os",
            f"os.environ['FASTSOFTMAX_TARGET'] = {target!r}",
            "import numpy as np",
            "import fastsoftmax",
        ]
        if any("bfloat16" in line for line in self._lines):
            self._head.append("from ml_dtypes import bfloat16")
        self._head += [
            "def aligned(skip, data):",
            "    raw = np.zeros(len(data) + skip + 64, np.uint8)",
            "    raw = raw[-raw.ctypes.data % 64:]",
            "    raw[skip:skip + len(data)] = np.frombuffer(data, np.uint8)",
            "    return raw",
        ]
        self._call = f"result = fastsoftmax.{function}({', '.join(shown)})"

    def _add_array(self, array, memory, start):
        name = f"array{len(self._names)}"
        self._names[id(array)] = name
        address = array.__array_interface__["data"][0]
        dtype = "bfloat16" if array.dtype.name == "bfloat16" else repr(array.dtype.str)
        values = np.array2string(np.asarray(array), threshold=20).replace("\n", " ")
        self._lines.append(
            f"{name} = np.ndarray({array.shape}, {dtype}, {memory}, {address - start}, "
            f"{array.strides})  # {values}"
        )
        if not array.flags.writeable:
            self._lines.append(f"{name}.flags.writeable = False")

    def _show(self, value):
        if isinstance(value, tuple) and any(isinstance(each, np.ndarray) for each in value):
            return f"({', '.join(self._show(each) for each in value)},)"
        if isinstance(value, np.ma.MaskedArray):
            plain = np.asarray(value)
            return f"np.ma.array({self._show_small(plain)}, mask={value.mask.tolist()})"
        if isinstance(value, np.ndarray):
            return self._names.get(id(value)) or self._show_small(value)
        if isinstance(value, np.dtype):
            return "bfloat16" if value.name == "bfloat16" else repr(value.str)
        return repr(value).replace("inf", "float('inf')").replace("nan", "float('nan')")

    @staticmethod
    def _show_small(array):
        dtype = "bfloat16" if array.dtype.name == "bfloat16" else repr(array.dtype.str)
        data = np.ascontiguousarray(array).tobytes().hex()
        return f"np.frombuffer(bytes.fromhex({data!r}), {dtype}).reshape({array.shape})"

    def source(self, *checks):
        """The whole program, ending in these lines."""
        return "\n".join([*self._head, *self._lines, self._call, *checks])
