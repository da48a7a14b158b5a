"""Build the kernels once per instruction set.

(a) TARGETS is the only list of instruction sets. A row says on which machines it can run, which
    macro selects its header in `src/fastsoftmax/simd/simd.hpp`, and which flags each kind of
    compiler needs. A new instruction set is one row here, one header there, and one line in
    `src/fastsoftmax/simd/detect.hpp`.
(b) `_kernels.pyx` becomes one extension per target. Cython translates it once; for each target a
    file of three lines gives the module's entry point its name and includes the translation.
(c) Contraction is off for all targets: a fused multiply-add happens where the source says so and
    nowhere else. That is what makes the results of all targets with fma the same bits.
(d) INSTRUMENTS is the only list of builds that observe what the kernels do, chosen by the
    environment variable FASTSOFTMAX_INSTRUMENT. They are for tests: nobody installs them.
(e) Nothing that could merge or move code between targets: internal linkage, hidden symbols, no
    link-time optimisation. And never -ffast-math, which at link time switches a whole process to
    flush-to-zero.
(f) With SOURCE_DATE_EPOCH set, one commit gives the same archives byte for byte, wherever and by
    whomever they are made. setuptools leaves to us the source distribution's times and owners, and
    the modes of files, which depend on the umask.
(g) A wheel says what is in it beside our own source: a bill of materials (PEP 770, in CycloneDX).
"""

import gzip
import json
import os
import platform
import sysconfig
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import Cython
import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

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


class Instrument(NamedTuple):
    """What a build for observation adds to the flags of gcc and clang."""

    compiler: tuple[str, ...]
    linker: tuple[str, ...]


INSTRUMENTS = {
    "": Instrument((), ()),
    # A fault ends the process. Nothing is optimised: that would take the compiler long,
    # and leave fewer faults to see.
    "sanitize": Instrument(
        (
            "-O0",
            "-g1",
            "-fno-wrapv",  # which the interpreter was built with: signed overflow is a fault here
            "-fno-omit-frame-pointer",
            "-fsanitize=address,undefined,float-cast-overflow",
            "-fno-sanitize-recover=all",
        ),
        ("-fsanitize=address,undefined",),
    ),
    # Two threads at one place, without order between them. At -O1, the vocabulary's functions are
    # still inline.
    "threads": Instrument(("-O1", "-g1", "-fsanitize=thread"), ("-fsanitize=thread",)),
    # Counters beside the code, reported by gcov for the lines of the Cython sources. Functions are
    # not inlined before that, and every thread's count counts.
    "trace": Instrument(
        ("-O1", "--coverage", "-fno-early-inlining", "-fprofile-update=atomic"),
        ("--coverage",),
    ),
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
    # More than 300 takes gcc up to twice as long, and gains nothing.
    "--param=max-inline-insns-single=300",
    "--param=inline-unit-growth=400",
    "--param=large-function-growth=2000",
    # Room to clone a gradient's loops for each format (see simd/specialised.hpp): they take up to a
    # third less time.
    "--param=ipa-cp-unit-growth=60",
    "-Wno-uninitialized",
    "-Wno-maybe-uninitialized",  # gcc 12 says it of its own intrinsics headers
]
MSVC_FLAGS = ["/std:c++17", "/O2", "/fp:precise"]

SOURCE = "src/fastsoftmax"
INSTRUMENT = os.environ.get("FASTSOFTMAX_INSTRUMENT", "")
# Generated C++ depends on who generated it: another Cython or NumPy starts afresh.
_VERSIONS = "build/cython", Cython.__version__, "numpy", numpy.__version__
GENERATED = "-".join(_VERSIONS + (INSTRUMENT,) * bool(INSTRUMENT))
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


def of_target(translation: str, name: str) -> str:
    """Write the source of the module `_kernels_<name>`, unless it is there."""
    source = Path(translation).with_name(f"_kernels_{name}.cpp")
    text = (
        f"// {Path(translation).name} as the module _kernels_{name}.\n"
        f"#define PyInit__kernels PyInit__kernels_{name}\n"
        f'#include "{Path(translation).name}"\n'
    )
    if not source.exists() or source.read_text() != text:
        source.write_text(text)
    return str(source)


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
    (kernels,) = cythonize(
        [Extension("fastsoftmax._kernels", [f"{SOURCE}/_kernels.pyx"], language="c++")],
        build_dir=f"{GENERATED}/kernels",
        include_path=["src"],
        compiler_directives=DIRECTIVES,
        emit_linenums=INSTRUMENT == "trace",
    )
    (translation,) = kernels.sources
    for name, target in TARGETS.items():
        if machine() not in target.machines:
            continue
        extension = Extension(
            f"fastsoftmax._kernels_{name}", [of_target(translation, name)], language="c++"
        )
        extension.include_dirs = [numpy.get_include(), SOURCE, f"{SOURCE}/simd"]
        extension.define_macros = [
            (target.macro, "1"),
            ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
        ]
        extension.depends = [translation]
        for suffix in ("*.hpp", "*.pxd", "*.pxi"):
            extension.depends += sorted(str(path) for path in Path(SOURCE).rglob(suffix))
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
            instrument = INSTRUMENTS[INSTRUMENT]
            ext.extra_compile_args += instrument.compiler
            ext.extra_link_args = ["-fno-lto", *instrument.linker]
        super().build_extension(ext)


def _mode(mode: int) -> int:
    """The mode of a file or folder, whatever the umask is."""
    return 0o755 if mode & 0o100 else 0o644


class SourceDistribution(sdist):
    """An archive that depends on the files alone, if SOURCE_DATE_EPOCH is set."""

    def make_archive(
        self, base_name: str, format: str, root_dir: Any = None, base_dir: Any = None, **owners: Any
    ) -> str:
        date = os.environ.get("SOURCE_DATE_EPOCH")
        if date is None or format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, **owners)

        def settled(info: tarfile.TarInfo) -> tarfile.TarInfo:
            info.mtime = int(date)
            info.mode = _mode(info.mode)
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            return info

        path = f"{base_name}.tar.gz"
        with (
            open(path, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=int(date)) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            archive.add(base_dir, filter=settled)  # in alphabetical order
        return path


class Wheel(bdist_wheel):
    """A wheel with its bill of materials, and the same modes wherever it is made."""

    def write_wheelfile(self, wheelfile_base: str, *arguments: Any, **options: Any) -> None:
        super().write_wheelfile(wheelfile_base, *arguments, **options)
        folder = Path(wheelfile_base, "sboms")
        folder.mkdir()
        name, version = self.distribution.get_name(), self.distribution.get_version()
        text = json.dumps(materials(name, version), indent=2) + "\n"
        (folder / f"{name}.cdx.json").write_bytes(text.encode())
        for path in Path(self.bdist_dir).rglob("*"):
            path.chmod(_mode(path.stat().st_mode))


def materials(name: str, version: str) -> dict[str, Any]:
    """The bill of materials: what was compiled into the wheel, or copied, that others wrote."""

    def package(name: str, version: str, license: str) -> dict[str, Any]:
        url = f"pkg:pypi/{name}@{version}"
        return {
            "type": "library",
            "bom-ref": url,
            "name": name,
            "version": version,
            "licenses": [{"license": {"id": license}}],
            "purl": url,
        }

    ours = package(name, version, "BSD-3-Clause")
    cython = package("cython", Cython.__version__, "Apache-2.0")
    cython["description"] = "its utility code is part of every extension module"
    headers = package("numpy", numpy.__version__, "BSD-3-Clause")
    headers["description"] = "the extension modules are compiled with its headers, and need it"
    digits = {
        "type": "data",
        "bom-ref": "digits",
        "name": "Optical Recognition of Handwritten Digits",
        "description": "data/digits.npz of the demonstration is made from it",
        "licenses": [{"license": {"id": "CC-BY-4.0"}}],
        "externalReferences": [{"type": "website", "url": "https://doi.org/10.24432/C50P49"}],
    }
    parts = [cython, headers, digits]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": ours},
        "components": parts,
        "dependencies": [{"ref": ours["bom-ref"], "dependsOn": [p["bom-ref"] for p in parts]}],
    }


if __name__ == "__main__":
    setup(
        ext_modules=extensions(),
        cmdclass={"build_ext": BuildKernels, "sdist": SourceDistribution, "bdist_wheel": Wheel},
    )
