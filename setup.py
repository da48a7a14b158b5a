"""Build the kernels once per instruction set.

(a) TARGETS is the only list of instruction sets. A row says on which machines it can run, which
    macro selects its header in `src/fastsoftmax/simd/simd.hpp`, and which flags each kind of
    compiler needs. A new instruction set is one row here, one header there, and one line in
    `src/fastsoftmax/simd/detect.hpp`.
(b) `_kernels.pyx` becomes one extension per target. cythonize cannot take one source for two
    modules in a single call, so every target has a call and a build directory of its own.
(c) Contraction is off for all targets: a fused multiply-add happens where the source says so and
    nowhere else. That is what makes the results of all targets with fma the same bits.
(d) Nothing that could merge or move code between targets: internal linkage, hidden symbols, no
    link-time optimisation. And never -ffast-math, which at link time switches a whole process to
    flush-to-zero.
"""

import os
import platform
import sysconfig
from pathlib import Path
from typing import NamedTuple

import Cython
import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

X86_64 = ("x86_64", "amd64")
AARCH64 = ("aarch64", "arm64")


class Target(NamedTuple):
    """One instruction set: where it runs, what selects its header, how a compiler is told."""

    machines: tuple[str, ...]
    macro: str
    gcc: tuple[str, ...]
    msvc: tuple[str, ...]


TARGETS = {
    "generic": Target(X86_64 + AARCH64 + ("any",), "FASTSOFTMAX_GENERIC", (), ()),
    "avx2": Target(X86_64, "FASTSOFTMAX_AVX2", ("-march=x86-64-v3",), ("/arch:AVX2",)),
    "avx512": Target(X86_64, "FASTSOFTMAX_AVX512", ("-march=x86-64-v4",), ("/arch:AVX512",)),
    "neon": Target(AARCH64, "FASTSOFTMAX_NEON", (), ()),
}

GCC_FLAGS = [
    "-std=c++17",
    "-O3",
    "-g0",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-lto",
    "-fvisibility=hidden",
    # Without room to grow gcc calls the exponential from within the loops, at three times the cost.
    "--param=large-stack-frame-growth=100000",
    "--param=max-inline-insns-single=2000",
    "--param=inline-unit-growth=400",
    "--param=large-function-growth=2000",
    "-Wno-uninitialized",
    "-Wno-maybe-uninitialized",  # gcc 12 says it of its own intrinsics headers
]
MSVC_FLAGS = ["/std:c++17", "/O2", "/fp:precise"]

SOURCE = "src/fastsoftmax"
# Generated C++ depends on who generated it: another Cython or NumPy starts afresh.
GENERATED = f"build/cython-{Cython.__version__}-numpy-{numpy.__version__}"
DIRECTIVES = {
    "language_level": "3",
    "cdivision": True,  # division as C has it: no check, no exception, on every number of a kernel
    "boundscheck": False,
    "wraparound": False,
    "freethreading_compatible": True,
}


def machine() -> str:
    """The machine the build is for, which is not this one when cross-compiling."""
    name = sysconfig.get_platform().rsplit("-", 1)[-1].lower()
    if name == "universal2":  # built for the machine at hand, unless told otherwise
        name = os.environ.get("ARCHFLAGS", f"-arch {platform.machine()}").split()[-1].lower()
    return name if name in X86_64 + AARCH64 else "any"


def extensions() -> list[Extension]:
    """The detection of CPU and system, and one kernel extension per target of the machine."""
    cpu = Extension("fastsoftmax._cpu", [f"{SOURCE}/_cpu.pyx"], language="c++")
    cpu.include_dirs = [SOURCE]
    found = cythonize(
        [cpu],
        build_dir=f"{GENERATED}/cpu",
        include_path=["src"],
        compiler_directives=DIRECTIVES,
    )
    for name, target in TARGETS.items():
        if machine() not in target.machines:
            continue
        (extension,) = cythonize(
            [Extension(f"fastsoftmax._kernels_{name}", [f"{SOURCE}/_kernels.pyx"], language="c++")],
            build_dir=f"{GENERATED}/{name}",
            include_path=["src"],
            compiler_directives=DIRECTIVES,
        )
        extension.include_dirs = [numpy.get_include(), SOURCE, f"{SOURCE}/simd"]
        extension.define_macros = [
            (target.macro, "1"),
            ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
        ]
        extension.depends = sorted(
            str(path) for suffix in ("*.hpp", "*.pxd") for path in Path(SOURCE).rglob(suffix)
        )
        extension.target = target
        found.append(extension)
    return found


class BuildKernels(build_ext):
    """Give each extension the flags of its target in the words of the compiler at hand."""

    def initialize_options(self) -> None:
        super().initialize_options()
        self.parallel = os.cpu_count()

    def build_extension(self, ext: Extension) -> None:
        msvc = self.compiler.compiler_type == "msvc"
        target = getattr(ext, "target", None)
        ext.extra_compile_args = list(MSVC_FLAGS if msvc else GCC_FLAGS)
        if target is not None:
            ext.extra_compile_args += target.msvc if msvc else target.gcc
        if not msvc:
            ext.extra_link_args = ["-fno-lto"]
        super().build_extension(ext)


if __name__ == "__main__":
    setup(ext_modules=extensions(), cmdclass={"build_ext": BuildKernels})
