"""A copy of the tree whose kernels have all chosen mutations, one in force at a time.

What does not compile is left out, and the rest compiled again.
"""

import re
import subprocess
import sys

from . import kernel_source

VARIABLE = "FASTSOFTMAX_MUTATION"

HEADER = f"""#pragma once
#include <cstdlib>
static int number_in_environment() {{
    const char* text = std::getenv("{VARIABLE}");
    return text ? std::atoi(text) : 0;
}}
static const int number_in_force = number_in_environment();
"""
DECLARATION = """cdef extern from "mutation.hpp" nogil:
    const int NUMBER "number_in_force"
"""
BUILD = """
import sys
sys.path.insert(0, ".")
import setup as s
from setuptools import setup
s.TARGETS = {{"{target}": s.TARGETS["{target}"]}}
s.GCC_FLAGS[s.GCC_FLAGS.index("-O3")] = "-O1"
setup(ext_modules=s.extensions(), cmdclass={{"build_ext": s.BuildKernels}},
      script_args=["build_ext", "--inplace"])
"""


def _write(tree, originals, mutations):
    """Every file with its mutations, which are on lines of their own."""
    by_path = {}
    for number, mutation in mutations.items():
        by_path.setdefault(mutation.path, {})[mutation.line] = (number, mutation)
    for path, source in originals.items():
        lines = source.split("\n")
        for line, (number, mutation) in by_path.get(path, {}).items():
            choose = (
                kernel_source.choose_header
                if path.endswith(".hpp")
                else kernel_source.choose_cython
            )
            comment = lines[line - 1][len(mutation.old) :] if path.endswith(".hpp") else ""
            # Error messages are found by the number.
            mark = f"// #{number}#" if path.endswith(".hpp") else f"  # #{number}#"
            lines[line - 1] = "\n".join(
                part + mark for part in (choose(mutation, number) + comment).split("\n")
            )
        text = "\n".join(lines)
        if path in by_path:
            if path.endswith(".hpp"):
                text = text.replace("#pragma once", '#pragma once\n#include "mutation.hpp"', 1)
            else:
                text = re.sub(
                    r"^(?=from |cimport )",
                    "from fastsoftmax.mutation cimport NUMBER\n",
                    text,
                    count=1,
                    flags=re.MULTILINE,
                )
        (tree / path).write_text(text)


def _blamed(tree, output):
    """Numbers of the mutations that an error message of Cython or the C++ compiler is about."""
    numbers = set()
    for name, line in re.findall(
        r"(?:^|[ /])(\w+\.(?:pxd|pxi|pyx)):(\d+):\d+:", output, re.MULTILINE
    ):
        (source,) = (tree / "src/fastsoftmax").rglob(name)
        lines = source.read_text().split("\n")
        numbers |= set(map(int, re.findall(r"# #(\d+)#", lines[int(line) - 1])))
    for path, line in re.findall(
        r"^(\S+\.(?:cpp|hpp)):(\d+):\d+: (?:error|note|  required)", output, re.MULTILINE
    ):
        found = tree / path
        if found.exists():
            lines = found.read_text(errors="replace").split("\n")
            window = "\n".join(lines[max(int(line) - 30, 0) : int(line)])
            numbers |= set(map(int, re.findall(r"#(\d+)#", window)[-1:]))
    return numbers


def build(tree, target, chosen):
    """Compile the mutations (by number) that compile; returns them."""
    package = tree / "src/fastsoftmax"
    (package / "mutation.hpp").write_text(HEADER)
    (package / "mutation.pxd").write_text(DECLARATION)
    paths = {mutation.path for mutation in chosen.values()}
    originals = {path: (tree / path).read_text() for path in paths}
    while chosen:
        _write(tree, originals, chosen)
        process = subprocess.run(
            [sys.executable, "-c", BUILD.format(target=target)],
            cwd=tree,
            capture_output=True,
            text=True,
            check=False,
        )
        output = process.stdout + process.stderr
        if process.returncode == 0:
            return chosen
        blamed = _blamed(tree, output) & set(chosen)
        print(f"{len(blamed)} of {len(chosen)} mutations do not compile", flush=True)
        if not blamed:
            raise SystemExit(output[-3000:])
        chosen = {number: m for number, m in chosen.items() if number not in blamed}
    return chosen
