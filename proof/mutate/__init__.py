"""Faults planted in the source, one at a time, and whether the tests notice.

(a) A mutation changes one token: a comparison, a sign, a constant, two arguments, a condition; or
    it drops a statement (`python_source`, `kernel_source`). Which ones is the choice of a seeded
    generator.
(b) A Python file is changed in a copy of the tree. Kernels take minutes to compile, so all of
    their mutations are compiled into one extension, and a number in the environment says which of
    them is in force (`kernel_tree`).
(c) The tests are collected once. For each mutation a process is forked that imports the package and
    runs those that are likely to notice (`order`), one case of each test before the second of any,
    and then all others (`runner`).
(d) What survives is printed. Some mutations change no result, which only a reader can tell: these
    are kept with the reasons in docs/mutants.md, and not judged again (`equivalent`).
"""
