"""What compilers and linkers made of the source: the installed extension modules, disassembled.

(a) Code that runs before a target is chosen, and the generic target, must run on every machine of
    the family: no instruction beyond its baseline, but the two questions of the detection.
(b) No instruction that writes the control bits of floating-point arithmetic: flushing of subnormal
    numbers, rounding, and exceptions are the process's own.
(c) No symbol but the entry point is visible, and none of the C++ library is used, so the loader has
    nothing that it could take from one target for another.
"""

import functools
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastsoftmax

OBJECTS = sorted(p for p in Path(fastsoftmax.__file__).parent.glob("*.so"))
MACHINE = {"amd64": "x86_64", "arm64": "aarch64"}.get(
    platform.machine().lower(), platform.machine().lower()
)

# What x86-64 did not have at first, as objdump prints it: AVX and later vector instructions, whose
# names begin with v (some of virtual machines do, too), those of masks, and then SSE3 to BMI2.
BEYOND_BASELINE = re.compile(
    r"v(?!err|erw|mcall|mlaunch|mresume|mxoff)|k(mov|and|or|xor|xnor|not|add|shift|test|unpck)"
    r"|popcnt|crc32|movbe|lzcnt|andn[lq ]|bextr|bls[ir]|blsmsk|mulx|pdep|pext[lq ]|rorx"
    r"|sarx|sh[lr]x|haddp|hsubp|addsubp|lddqu|movddup|movs[hl]dup|pshufb|phadd|phsub|pabs|palignr|psign|pmaddubsw"
    r"|pmulhrsw|round[ps][sd]|p?blend|ptest|pmul(ld|dq)|pm(ax|in)(s[bd]|u[wd])|pcmp(eq|gt)q"
    r"|pmov[sz]x|pextr[bdq]|pinsr[bdq]|extractps|insertps|dpp[sd]|movntdqa|packusdw|mpsadbw"
    r"|phminpos|pcmp[ei]str|adcx|adox|aes|pclmul|sha(1|256)|xsave"
)
CONTROL = {
    "x86_64": re.compile(r"v?ldmxcsr|fldcw|fldenv|frstor|fxrstor|xrstor|fninit|finit|fnclex|emms"),
    "aarch64": re.compile(r"msr\s+fp[cs]r"),
}
# What rounds as it pleases, and differs from library to library.
ROUNDED = re.compile(r"(exp|exp2|exp10|expm1|log1p|log2|log10|pow|sinh|cosh|tanh|erf|cbrt)[fl]?")

objects = pytest.mark.parametrize("path", OBJECTS, ids=lambda p: p.name.partition(".")[0])


def _objdump(*arguments):
    if sys.platform != "linux":
        pytest.skip("only ELF objects are looked into")
    program = shutil.which(f"{MACHINE}-linux-gnu-objdump") or shutil.which("objdump")
    if program is None:
        pytest.skip("there is no objdump (binutils) here")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode or "UNKNOWN" in done.stderr:
        pytest.skip(f"this objdump knows nothing of {MACHINE}")
    return done.stdout


@functools.cache
def _instructions(path):
    """Every instruction there is, with its operands."""
    lines = _objdump("-d", "--no-show-raw-insn", str(path)).splitlines()
    parts = (line.partition("\t")[2] for line in lines if line.startswith(" "))
    found = sorted({" ".join(part.split()) for part in parts})
    assert any(each.startswith("ret") for each in found), "the disassembly was not understood"
    return found


def _symbols(path):
    """The dynamic symbols that are not local, and whether the object defines them."""
    for line in _objdump("-T", str(path)).splitlines():
        parts = line.split()
        if len(parts) > 3 and re.fullmatch(r"[0-9a-f]{8,16}", parts[0]) and parts[1] != "l":
            yield parts[-1], "*UND*" not in parts


def _object(name):
    return next(path for path in OBJECTS if path.name.partition(".")[0] == name)


def test_all_targets_of_the_machine_are_there():
    if sys.platform == "win32":
        pytest.skip("only ELF objects are looked into")
    names = {path.name.partition(".")[0] for path in OBJECTS}
    expected = {
        "x86_64": {"_cpu", "_kernels_generic", "_kernels_avx2", "_kernels_avx512"},
        "aarch64": {"_cpu", "_kernels_generic", "_kernels_neon"},
    }
    assert names >= expected.get(MACHINE, {"_cpu", "_kernels_generic"})


@objects
def test_no_control_bits_are_written(path):
    if MACHINE not in CONTROL:
        pytest.skip(f"nothing is known of {MACHINE}")
    assert [each for each in _instructions(path) if CONTROL[MACHINE].match(each)] == []


@pytest.mark.parametrize("name", ["_cpu", "_kernels_generic"])
def test_the_baseline_is_kept(name):
    if MACHINE != "x86_64":
        pytest.skip("the generic target of other machines has the flags of their fastest")
    found = _instructions(_object(name))
    assert ("cpuid" in found) == ("xgetbv" in found) == (name == "_cpu")
    assert [each for each in found if BEYOND_BASELINE.match(each)] == []


def test_the_other_targets_use_what_they_are_for():
    """So the test above would see it elsewhere."""
    if MACHINE != "x86_64":
        pytest.skip("this is about x86-64")
    for target, wide in (("avx2", "%ymm"), ("avx512", "%zmm")):
        found = _instructions(_object(f"_kernels_{target}"))
        assert any(each.startswith("vfmadd") and wide in each for each in found)
        assert sum(BEYOND_BASELINE.match(each) is not None for each in found) > 1_000
    assert not any("%zmm" in each for each in _instructions(_object("_kernels_avx2")))


@objects
def test_one_symbol_is_visible(path):
    module = path.name.partition(".")[0]
    assert [name for name, defined in _symbols(path) if defined] == [f"PyInit_{module}"]


@objects
def test_nothing_of_the_cxx_library_and_no_rounded_function_is_used(path):
    used = [name.partition("@")[0] for name, defined in _symbols(path) if not defined]
    assert any(name.startswith("Py") for name in used)
    assert [name for name in used if name.startswith(("_Z", "__cxa_throw", "__gxx"))] == []
    assert [name for name in used if ROUNDED.fullmatch(name)] == []
    libraries = re.findall(r"NEEDED\s+(\S+)", _objdump("-p", str(path)))
    assert [name for name in libraries if "stdc++" in name or "omp" in name] == []
