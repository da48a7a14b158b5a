"""`python -m proof.mutate [--python | --kernels] [--count N] [--seed S] [--target T]`."""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from . import equivalent, kernel_source, kernel_tree, order, python_source, runner

ROOT = Path(__file__).parents[2]
PACKAGE = "src/fastsoftmax"
# Of processor time, for the likely tests of a mutation, and for all of them.
FIRST_SECONDS, SECONDS = 20, 60


def copy_of_tree(directory, target):
    """The tree without its builds, but with the extensions, and with tests of one target."""
    shutil.copytree(
        ROOT,
        directory,
        ignore=shutil.ignore_patterns("build", "dist", ".git", "__pycache__", "*.so"),
        dirs_exist_ok=True,
    )
    for extension in (ROOT / PACKAGE).glob("*.so"):
        shutil.copy(extension, directory / PACKAGE)
    for test in (directory / "tests").glob("*.py"):
        text = test.read_text()
        if test.name == "targets.py":
            found = 'return importlib.import_module("fastsoftmax._cpu").runnable_targets()'
            assert found in text
            text = text.replace(found, f'return ("{target}",)')
            every = 'ALL = ("generic", "avx2", "avx512", "neon")'
            assert every in text
            test.write_text(text.replace(every, f'ALL = ("{target}",)'))
    return directory


def spread(rng, found, count):
    """So many mutations, on lines of their own, each file in proportion to its mutations."""
    rng.shuffle(found)
    chosen, lines = [], set()
    for mutation in found:
        if (mutation.path, mutation.line) not in lines:
            lines.add((mutation.path, mutation.line))
            chosen.append(mutation)
        if len(chosen) == count:
            break
    return chosen


def python_mutations(rng, count, only):
    found = []
    for path in sorted((ROOT / PACKAGE).glob("*.py")):
        if only is None or path.name in only:
            name = str(path.relative_to(ROOT))
            found += python_source.mutations(name, path.read_text())
    return spread(rng, found, count)


def kernel_mutations(rng, count, only, target):
    found = []
    headers = [f"simd/{target}.hpp", "kernels/arithmetic/constants.hpp"]
    sources = sorted((ROOT / PACKAGE).rglob("*.p[yx][xdi]"))
    sources = [path for path in sources if path.suffix != ".pyi"]
    sources += [ROOT / PACKAGE / header for header in headers]
    for path in sources:
        if path.name in ("simd.pxd", "_cpu.pyx") or (only and path.name not in only):
            continue
        find = kernel_source.cython_mutations
        if path.suffix == ".hpp":
            find = kernel_source.header_mutations
        found += find(str(path.relative_to(ROOT)), path.read_text())
    return spread(rng, found, count)


class Judge:
    """Runs the tests for one mutation after the other, and keeps what they noticed."""

    def __init__(self, tree, target):
        self.tree = tree
        self.expression = " and ".join(
            f"not {name}" for name in ("generic", "avx2", "avx512", "neon") if name != target
        )
        self.verdicts = tree / "verdicts.txt"

    def report(self, mutation, killer, begun):
        """Print and keep one verdict."""
        name = equivalent.name(ROOT, mutation)
        verdict = f"killed by {killer}" if killer else "survives"
        with self.verdicts.open("a") as file:
            file.write(f"{int(killer is not None)}{name}\n")
        print(f"{time.monotonic() - begun:6.1f} s  {verdict}  {name}", file=self.out, flush=True)

    def left_out(self, count, names):
        """Say which tests fail without a mutation."""
        if count:
            print(
                f"{count} tests fail as it is and are left out:\n{names}", file=self.out, flush=True
            )

    def judge(self, tasks):
        """Judge the tasks; how many are killed, and the names of those that survive."""
        self.out = os.fdopen(os.dup(1), "w")
        self.verdicts.touch()
        files = order.every(self.tree)
        runner.run(
            *(self.tree, files, self.expression, tasks),
            *(FIRST_SECONDS, SECONDS, self.report, self.left_out),
        )
        lines = self.verdicts.read_text().split("\n")[:-1]
        survivors = [line[1:] for line in lines if line[0] == "0"]
        return len(lines) - len(survivors), survivors


def task(mutation, begin, environment, end):
    """A mutation with what the runner has to know of it."""
    return runner.Task(mutation, begin, environment, end, order.likely(mutation.path))


def in_file(tree, mutation):
    """A mutation with what puts it into its Python file, and out again."""
    file = tree / mutation.path
    source = file.read_text()
    mutated = mutation.apply(source)
    return task(mutation, lambda: file.write_text(mutated), {}, lambda: file.write_text(source))


def in_kernels(number, mutation):
    """A mutation with what puts it in force in the extension that has all of them."""
    return task(mutation, lambda: None, {kernel_tree.VARIABLE: str(number)}, lambda: None)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m proof.mutate", description=__doc__)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--python", action="store_true", help="the Python files alone")
    kind.add_argument("--kernels", action="store_true", help="the kernels alone")
    parser.add_argument("--count", type=int, default=None, help="how many of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", default="avx2", help="whose kernels are compiled")
    parser.add_argument("--only", nargs="+", help="names of source files")
    options = parser.parse_args(argv)
    verdicts, known, left_out = [], equivalent.known(ROOT), 0

    def unknown(found):
        nonlocal left_out
        chosen = [each for each in found if equivalent.name(ROOT, each) not in known]
        left_out += len(found) - len(chosen)
        return chosen

    with tempfile.TemporaryDirectory(prefix="fastsoftmax-mutate-") as directory:
        if not options.kernels:
            tree = copy_of_tree(Path(directory) / "python", options.target)
            rng = random.Random(options.seed)
            chosen = unknown(python_mutations(rng, options.count or 220, options.only))
            tasks = [in_file(tree, mutation) for mutation in chosen]
            verdicts.append(Judge(tree, options.target).judge(tasks))
        if not options.python:
            tree = copy_of_tree(Path(directory) / "kernels", options.target)
            rng = random.Random(options.seed)
            count = options.count or 130  # some of them do not compile
            found = unknown(kernel_mutations(rng, count, options.only, options.target))
            numbered = kernel_tree.build(tree, options.target, dict(enumerate(found, 1)))
            tasks = [in_kernels(*each) for each in numbered.items()]
            verdicts.append(Judge(tree, options.target).judge(tasks))
    killed = sum(count for count, _ in verdicts)
    survivors = [name for _, names in verdicts for name in names]
    for name in survivors:
        print(f"survives: {name}")
    total = killed + len(survivors)
    print(
        f"mutate: {total + left_out} mutations, {left_out} known to change no result, "
        f"{killed} killed, {len(survivors)} survive"
    )
    return 1 if killed < 0.95 * total else 0


if __name__ == "__main__":
    sys.exit(main())
