"""`python -m proof.coverage [--target T ...] [--cases N] [--tree DIRECTORY] [--report]`.

Which lines of the library the tests run: Python's, and those of the Cython sources.

(a) The kernels are built with FASTSOFTMAX_INSTRUMENT=trace: gcc counts how often each line of the
    generated C++ runs, and the C++ says from which line of which Cython file it came, inlined,
    without the GIL or in another thread. Cython's own tracing would stop at every one of millions
    of calls of inline functions for the GIL.
(b) Some lines are for some instruction sets only. So the counts of all targets are added up.
(c) Python lines are counted by coverage.py, in subprocesses, too.
(d) pyproject.toml lists, under tool.coverage, which lines need not be run, with the reasons. A
    pattern that begins a block excludes all of it, in Cython as in Python.
(e) All of this is done in a copy of the tree, so that nobody imports such a build by mistake.
"""

import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import coverage
import targets

from . import instrumented, sample

ROOT = Path(__file__).parents[1]
PACKAGE = Path("src/fastsoftmax")
# They run other libraries, or programs of their own, and no line that others do not.
LEFT_OUT = ("test_benchmark_grid", "test_examples", "test_scipys_own_tests")


def copy_tree(tree):
    """The tree without its builds."""
    left_out = shutil.ignore_patterns("build", "dist", ".git", "__pycache__", "*.so", ".coverage*")
    shutil.copytree(ROOT, tree, ignore=left_out, dirs_exist_ok=True)


def build(tree, chosen):
    instrumented.build("trace", chosen, ["build_ext", "--inplace"], tree)


def run_tests(tree, chosen, tests, cases):
    """Run the tests of these targets, with so many cases of each at most."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}",
        "FASTSOFTMAX_TARGET": chosen[0],  # others may not be built
    }
    if cases is not None:
        environment[sample.VARIABLE] = str(cases)
    expression = " and ".join(f"not {name}" for name in targets.ALL if name not in chosen)
    left_out = [f"--ignore=tests/{name}.py" for name in LEFT_OUT]
    command = ["-m", "coverage", "run", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "proof.sample"]
    command += ["-k", expression or "not nothing", *left_out, *tests]
    process = subprocess.run([sys.executable, *command], cwd=tree, env=environment, check=False)
    return process.returncode


def kernel_counts(tree):
    """How often each line ran, by file of the package and number of the line."""
    counts = collections.defaultdict(lambda: collections.defaultdict(int))
    for notes in (tree / "build").rglob("*.gcda"):
        if "-trace/" not in str(notes):
            continue
        output = subprocess.run(
            ["gcov", "--json-format", "--stdout", notes.name],
            cwd=notes.parent,
            capture_output=True,
            check=True,
        ).stdout
        for report in output.splitlines():
            for file in json.loads(report)["files"]:
                # Generated files have the same names further on in their paths.
                found = re.search(
                    r"(?:^|/)fastsoftmax/([\w/.]+\.(?:p[yx][xdi]|hpp))$", file["file"]
                )
                if found and (tree / PACKAGE / found[1]).exists():
                    lines = counts[found[1]]
                    for line in file["lines"]:
                        lines[line["line_number"]] += line["count"]
    return counts


def excluded_lines(source, patterns):
    """The numbers of lines that match a pattern, and of the blocks they begin."""
    lines, excluded = source.split("\n"), set()
    block = None
    for number, text in enumerate(lines, 1):
        indent = len(text) - len(text.lstrip())
        if block is not None and (not text.strip() or indent > block):
            excluded.add(number)
            continue
        block = None
        if any(re.search(pattern, text) for pattern in patterns):
            excluded.add(number)
            if text.split("#")[0].rstrip().endswith((":", "{")):
                block = indent
    return excluded


def headers(source):
    """The numbers of lines from `def` or `cdef` to the docstring's beginning.

    To them Cython counts the way out of a function with an error, and the docstring itself.
    """
    found, is_inside = set(), False
    lines = source.split("\n")
    for number, text in enumerate(lines, 1):
        code = text.split("#")[0].strip()
        if re.match(r"(def|cdef .*\()", code):
            is_inside = True
        if is_inside:
            found.add(number)
            if code.endswith(":"):
                is_inside = False
                if number < len(lines) and lines[number].strip().startswith('"""'):
                    found.add(number + 1)
    return found


def python_lines(tree):
    """(name, number of lines, those missing) of each Python file."""
    data = coverage.Coverage(
        data_file=str(tree / ".coverage"), config_file=str(tree / "pyproject.toml")
    )
    data.combine([str(tree)], keep=True)
    for path in sorted((tree / PACKAGE).rglob("*.py")):
        _, lines, _, missing, _ = data.analysis2(str(path))
        yield str(path.relative_to(tree / PACKAGE)), len(lines), missing


def kernel_lines(tree):
    """The same of the files that kernels are made of."""
    config = tomllib.loads((tree / "pyproject.toml").read_text())
    patterns = config["tool"]["coverage"]["report"]["exclude_also"]
    for name, counts in sorted(kernel_counts(tree).items()):
        source = (tree / PACKAGE / name).read_text()
        lines = source.split("\n")
        excluded = excluded_lines(source, patterns) | headers(source)
        # What Cython makes of a docstring or a closing line is no line of the source.
        counted = {n: c for n, c in counts.items() if n <= len(lines) and n not in excluded}
        yield name, len(counted), sorted(n for n, count in counted.items() if not count)


def report(tree):
    """Print a line for each file; returns how many lines there are and how many never ran."""
    total = never = 0
    for name, count, missing in (*python_lines(tree), *kernel_lines(tree)):
        total, never = total + count, never + len(missing)
        share = 100 * (count - len(missing)) / max(count, 1)
        print(f"{share:6.1f} %  {count:5} lines  {name}")
        source = (tree / PACKAGE / name).read_text().split("\n")
        for number in missing:
            print(f"{'':14}never run: {name}:{number}: {source[number - 1].strip()}")
    return total, never


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m proof.coverage", description=__doc__)
    parser.add_argument("--target", nargs="+", default=targets.runnable(), choices=targets.ALL)
    parser.add_argument("--tree", type=Path, help="where to build; kept afterwards")
    parser.add_argument("--report", action="store_true", help="of what ran in the tree before")
    parser.add_argument("--cases", type=int, help="of each test; all of them by default")
    parser.add_argument("--tests", nargs="+", default=["tests"])
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="fastsoftmax-coverage-") as directory:
        tree = (options.tree or Path(directory)).resolve()
        status = 0
        if not options.report:
            copy_tree(tree)
            build(tree, options.target)
            status = run_tests(tree, options.target, options.tests, options.cases)
        total, never = report(tree)
    print(f"coverage: {total - never} of {total} lines run, {100 * (1 - never / total):.2f} %")
    return 1 if never or status else 0


if __name__ == "__main__":
    sys.exit(main())
