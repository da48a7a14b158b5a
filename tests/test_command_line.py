"""The command line: results, streaming in pieces, and what it leaves behind when something goes
wrong.
"""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastsoftmax
from fastsoftmax._command_line import blocks, main, npy, output, progress, transform

FUNCTIONS = {
    "softmax": fastsoftmax.softmax,
    "log-softmax": fastsoftmax.log_softmax,
    "logsumexp": fastsoftmax.logsumexp,
}
COMMANDS = list(FUNCTIONS)


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(size=(3, 40, 7)).astype(np.float32)


@pytest.fixture
def source(tmp_path, logits):
    path = tmp_path / "logits.npy"
    np.save(path, logits)
    return path


@pytest.fixture
def target(tmp_path):
    return tmp_path / "result.npy"


def run(*words):
    return main([str(word) for word in words])


# For NumPy and the pieces, beside what the interpreter reserves, without a GIL a gigabyte. Mapped
# files do not count as data.
WITH_400_MB = """
import resource
data = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, 2 * (data + (400 << 20),))
"""


def in_process(words, **options):
    """Start the command in a process of its own; `before` is Python to run there first."""
    before = options.pop("before", "")
    imports = "import sys\nfrom fastsoftmax._command_line import blocks, main"
    code = f"{imports}\n{before}\nsys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_one_line(text, *parts):
    assert text.startswith("fastsoftmax: error: ")
    assert text.count("\n") == 1 and text.endswith("\n")
    for part in parts:
        assert part in text


# Results


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("piece_bytes", [1 << 24, 300, 1])
def test_the_file_holds_what_the_function_returns(
    command, order, axis, piece_bytes, logits, source, target, monkeypatch
):
    monkeypatch.setattr(blocks, "PIECE_BYTES", piece_bytes)
    np.save(source, np.asarray(logits, order=order))
    assert run(command, source, target, "--axis", axis) == 0
    result = np.load(target)
    expected = FUNCTIONS[command](logits, axis=axis)
    assert result.dtype == expected.dtype and result.shape == expected.shape
    assert result.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_last_axis_is_the_default(command, logits, source, target):
    assert run(command, source, target) == 0
    np.testing.assert_array_equal(np.load(target), FUNCTIONS[command](logits, axis=-1))


def test_fortran_order_is_kept(logits, source, target):
    np.save(source, np.asfortranarray(logits))
    assert run("softmax", source, target, "--axis", 1) == 0
    assert np.load(target).flags.f_contiguous


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype_is_that_of_the_file(dtype, logits, source, target):
    assert run("softmax", source, target, "--dtype", dtype) == 0
    expected = fastsoftmax.softmax(logits, axis=-1, dtype=dtype)
    result = np.load(target)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("stored", ["uint8", ">f4", "float16", "bool", "complex128"])
def test_every_numeric_dtype_is_read(stored, logits, source, target):
    np.save(source, logits.astype(stored))
    assert run("softmax", source, target) == 0
    expected = fastsoftmax.softmax(logits.astype(stored), axis=-1)
    result = np.load(target)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 4), (4, 0, 0)])
def test_empty_arrays_with_something_to_reduce(command, shape, source, target):
    np.save(source, np.empty(shape, np.float32))
    axis = 0 if shape[0] else len(shape) - 1
    assert run(command, source, target, "--axis", axis) == 0
    assert np.load(target).shape == FUNCTIONS[command](np.empty(shape), axis=axis).shape


def test_logsumexp_of_nothing_is_minus_infinity(source, target):
    np.save(source, np.empty((3, 0), np.float32))
    assert run("logsumexp", source, target) == 0
    np.testing.assert_array_equal(np.load(target), [-np.inf] * 3)


def test_softmax_of_nothing_is_an_error(source, target, capsys):
    np.save(source, np.empty((3, 0), np.float32))
    assert run("softmax", source, target) == 2
    assert_one_line(capsys.readouterr().err, "zero-size array")
    assert not target.exists()


def test_a_nan_that_was_made_is_told_once(source, target, capsys, monkeypatch):
    monkeypatch.setattr(blocks, "PIECE_BYTES", 1)
    np.save(source, np.full((5, 2), np.inf))
    assert run("softmax", source, target) == 0
    assert capsys.readouterr().err == "fastsoftmax: warning: slices without a nan gave nan\n"


def test_a_nan_that_came_in_is_not_told(source, target, capsys):
    np.save(source, np.full((5, 2), np.nan))
    assert run("softmax", source, target) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on a process's own memory")
@pytest.mark.parametrize("axis", [0, 1])
def test_a_file_larger_than_memory(axis, source, target):
    rows, columns = 1 << 14, 1 << 13
    with open(source, "wb") as file:  # 512 MB of zeros that take no space on the disk
        npy.Header((rows, columns), False, np.dtype(np.float32)).write(file)
        file.truncate(file.tell() + 4 * rows * columns)
    one_thread = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # each more takes memory of its own
    words = ["logsumexp", source, target, "--axis", axis]
    process = in_process(words, before=WITH_400_MB, env=one_thread)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    expected = np.full((columns, rows)[axis], np.log((rows, columns)[axis]), np.float32)
    np.testing.assert_allclose(np.load(target), expected, rtol=1e-6)


# Slices that are longer than a piece


@pytest.fixture(
    params=[((7_000,), 0), ((2, 5_000), 1), ((5_000, 3), 0), ((2, 3_000, 40), 1)], ids=str
)
def long_slices(request):
    """Logits and an axis whose slices are taken apart when pieces are small."""
    shape, axis = request.param
    return 10 * np.random.default_rng(1).standard_normal(shape), axis


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["float16", "float32", ">f8", "int8"])
@pytest.mark.parametrize("piece_bytes", [1, 20_000])
def test_a_slice_longer_than_a_piece_has_the_bits_of_one_call(
    command, order, dtype, piece_bytes, long_slices, source, target, monkeypatch
):
    monkeypatch.setattr(blocks, "PIECE_BYTES", piece_bytes)
    monkeypatch.setitem(transform.FUNCTIONS, command, refuse_long_slices(FUNCTIONS[command]))
    logits, axis = long_slices
    logits = np.asarray(logits.astype(dtype), order=order)
    np.save(source, logits)
    assert run(command, source, target, "--axis", axis) == 0
    result = np.load(target)
    expected = FUNCTIONS[command](logits, axis=axis)
    assert result.dtype == expected.dtype and result.shape == expected.shape
    assert result.tobytes() == np.ascontiguousarray(expected).tobytes()


def refuse_long_slices(function):
    def refusing(x, **options):
        fits = x.shape[1] * x.itemsize <= blocks.PIECE_BYTES
        assert fits or x.shape[1] <= 1_024, "a long slice was loaded whole"
        return function(x, **options)

    return refusing


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("offset", [1.31e5, -1.311e5, 1e9])
@pytest.mark.parametrize("axis", [0, 1])
def test_logits_of_large_magnitude_in_pieces(command, offset, axis, source, target, monkeypatch):
    """The pieces are read once more, when the maximum is known: these have the bits, too."""
    monkeypatch.setattr(blocks, "PIECE_BYTES", 1)
    shape = (5_000, 2) if axis == 0 else (2, 5_000)
    spread = np.random.default_rng(2).uniform(-200, 200, shape)
    logits = (offset + spread).astype(np.float32)
    np.save(source, logits)
    assert run(command, source, target, "--axis", axis) == 0
    expected = FUNCTIONS[command](logits, axis=axis)
    assert np.load(target).tobytes() == expected.tobytes()


def test_a_nan_that_was_made_in_pieces_is_told_once(source, target, capsys, monkeypatch):
    monkeypatch.setattr(blocks, "PIECE_BYTES", 1)
    np.save(source, np.full((3_000, 2), -np.inf))
    assert run("softmax", source, target, "--axis", 0) == 0
    assert capsys.readouterr().err == "fastsoftmax: warning: slices without a nan gave nan\n"
    assert np.isnan(np.load(target)).all()


def test_long_slices_without_a_kernel_are_loaded_whole(source, target, monkeypatch):
    monkeypatch.setattr(blocks, "PIECE_BYTES", 1)
    x = np.random.default_rng(3).standard_normal(3_000) * (1 + 1j)
    np.save(source, x)
    assert run("softmax", source, target) == 0
    np.testing.assert_array_equal(np.load(target), fastsoftmax.softmax(x))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on a process's own memory")
@pytest.mark.parametrize("command", ["logsumexp", "softmax"])
def test_a_slice_larger_than_memory(command, source, target):
    n = 1 << 27
    with open(source, "wb") as file:  # 512 MB of zeros that take no space on the disk
        npy.Header((n,), False, np.dtype(np.float32)).write(file)
        file.truncate(file.tell() + 4 * n)
    one_thread = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    process = in_process([command, source, target], before=WITH_400_MB, env=one_thread)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    result = np.load(target, mmap_mode="r")
    if command == "logsumexp":
        np.testing.assert_allclose(result, 27 * np.log(2), rtol=1e-7)
    else:
        assert result.shape == (n,) and (result[:: n // 64] == 2.0**-27).all()


# Input that is refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a .npy file"),
        (b"1.0 2.0 3.0\n", "not a .npy file"),
        (b"\x93NUMPY\x01\x00\x76\x00{'descr'", "header"),
        (b"\x93NUMPY\x07\x00\x76\x00", "version 7"),
    ],
)
def test_files_of_another_kind(content, message, source, target, capsys):
    source.write_bytes(content)
    assert run("softmax", source, target) == 2
    assert_one_line(capsys.readouterr().err, str(source), message)


@pytest.mark.parametrize("missing", [1, 4, 3000])
def test_truncated_file(missing, source, target, capsys):
    whole = source.read_bytes()
    source.write_bytes(whole[:-missing])
    assert run("softmax", source, target) == 2
    assert_one_line(capsys.readouterr().err, str(source), "truncated")
    assert names(source.parent) == [source.name]


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, None]),
        np.array(["a", "b"]),
        np.array([b"a", b"b"]),
        np.zeros(2, "M8[s]"),
        np.zeros(2, "m8[s]"),
        np.zeros(2, [("a", float)]),
        np.zeros(2, [("\u03b1", float)]),
    ],
    ids=lambda array: str(array.dtype),
)
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_arrays_of_no_numbers(array, source, target, capsys):
    np.save(source, array, allow_pickle=True)
    assert run("logsumexp", source, target) == 2
    assert_one_line(capsys.readouterr().err, str(source), "not an array of numbers")


@pytest.mark.parametrize("axis", [3, -4, 100])
def test_axis_out_of_range(axis, source, target, capsys):
    assert run("softmax", source, target, "--axis", axis) == 2
    assert_one_line(capsys.readouterr().err, f"axis {axis} is out of bounds")


def test_zero_dimensions(source, target, capsys):
    np.save(source, np.float32(1))
    assert run("softmax", source, target) == 2
    assert_one_line(capsys.readouterr().err, "0-d array")


def test_missing_file(tmp_path, target, capsys):
    assert run("softmax", tmp_path / "none.npy", target) == 2
    assert_one_line(capsys.readouterr().err, "none.npy: No such file or directory")


def test_folder_as_input(tmp_path, target, capsys):
    assert run("softmax", tmp_path, target) == 2
    assert_one_line(capsys.readouterr().err, str(tmp_path))


@pytest.mark.parametrize(
    "words", [[], ["softmin"], ["softmax"], ["softmax", "a"], ["softmax", "a", "b", "--axis", "x"]]
)
def test_words_that_are_no_command(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_dtype_that_is_not_offered(source, target, capsys):
    with pytest.raises(SystemExit) as stopped:
        run("softmax", source, target, "--dtype", "int8")
    assert stopped.value.code == 2
    assert "int8" in capsys.readouterr().err


# Output that is kept


def test_existing_output_is_kept(source, target, capsys):
    target.write_text("precious")
    assert run("softmax", source, target) == 2
    assert_one_line(capsys.readouterr().err, str(target), "exists", "--force")
    assert target.read_text() == "precious"


def test_force_replaces(logits, source, target):
    target.write_text("precious")
    assert run("softmax", source, target, "--force") == 0
    np.testing.assert_array_equal(np.load(target), fastsoftmax.softmax(logits, axis=-1))
    assert names(source.parent) == [source.name, target.name]


def test_output_that_appears_meanwhile_is_kept(source, target, capsys, monkeypatch):
    def write(*arguments):
        target.write_text("precious")

    monkeypatch.setattr(blocks, "write", write)
    assert run("softmax", source, target) == 2
    assert_one_line(capsys.readouterr().err, str(target), "exists")
    assert target.read_text() == "precious"
    assert names(source.parent) == [source.name, target.name]


def test_file_systems_without_hard_links(logits, source, target, capsys, monkeypatch):
    def link(*arguments):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    assert run("softmax", source, target) == 0
    assert run("softmax", source, target) == 2
    assert names(source.parent) == [source.name, target.name]
    np.testing.assert_array_equal(np.load(target), fastsoftmax.softmax(logits, axis=-1))


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_input_as_output(force, logits, source, capsys):
    assert run("softmax", source, source, *force) == 2
    assert_one_line(capsys.readouterr().err, "same file")
    np.testing.assert_array_equal(np.load(source), logits)


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links without privileges")
def test_input_as_output_through_a_link(logits, source, target, capsys):
    target.symlink_to(source)
    assert run("softmax", source, target, "--force") == 2
    np.testing.assert_array_equal(np.load(source), logits)


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links without privileges")
def test_force_keeps_a_symbolic_link(source, target, tmp_path):
    behind = tmp_path / "behind.npy"
    behind.write_text("old")
    target.symlink_to(behind)
    assert run("softmax", source, target, "--force") == 0
    assert target.is_symlink()
    assert np.load(behind).shape == np.load(source).shape


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_folder_as_output(force, source, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    assert run("softmax", source, tmp_path / "folder", *force) == 2
    assert_one_line(capsys.readouterr().err, "folder", "directory")


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs a device file")
def test_device_as_output(source, capsys):
    assert run("softmax", source, "/dev/null", "--force") == 2
    assert_one_line(capsys.readouterr().err, "not a regular file")


def test_folder_that_is_not_there(source, tmp_path, capsys):
    assert run("softmax", source, tmp_path / "none" / "result.npy") == 1
    assert_one_line(capsys.readouterr().err, "No such file or directory")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root may write")
def test_folder_that_cannot_be_written(source, capsys):
    assert run("softmax", source, "/sys/result.npy") == 1
    assert_one_line(capsys.readouterr().err, "/sys/")


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_output_has_ordinary_permissions(source, target):
    before = os.umask(0o027)
    try:
        assert run("softmax", source, target) == 0
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o640


# Failure on the way


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
@pytest.mark.parametrize("piece_bytes", [1 << 24, 1], ids=["in order", "through a map"])
def test_no_room_for_the_output(piece_bytes, source, target):
    # One byte more than 2 kB in a file is refused, as it is on a full disk.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))"
    before = f"{limit}; blocks.PIECE_BYTES = {piece_bytes}"
    process = in_process(["softmax", source, target, "--axis", 0], before=before)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert_one_line(errors, str(target), "File too large")
    assert names(source.parent) == [source.name]


@pytest.mark.skipif(os.name != "posix", reason="posix_fallocate")
def test_space_is_claimed_where_the_system_has_no_call_for_it(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    count = len(output.ZEROS) + 5
    with open(tmp_path / "file", "xb+") as file:
        file.write(b"header")
        output.claim(file, count)
    assert (tmp_path / "file").read_bytes() == b"header" + bytes(count)


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_removes_what_was_begun(number, status, source, target):
    np.save(source, np.zeros((200_000, 10), np.float32))
    # A pause for every row leaves time to be interrupted in.
    before = """
import time, signal, fastsoftmax
from fastsoftmax._command_line import transform
signal.signal(signal.SIGINT, signal.default_int_handler)
blocks.PIECE_BYTES = 1
function = fastsoftmax.softmax
transform.FUNCTIONS["softmax"] = lambda *a, **k: [time.sleep(0.01), function(*a, **k)][1]
"""
    process = in_process(["softmax", source, target], before=before)
    deadline = time.monotonic() + 60
    while len(names(source.parent)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    begun = names(source.parent)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert len(begun) == 2 and any(name.endswith(".partial") for name in begun)
    assert process.returncode == status
    assert "Traceback" not in errors
    assert names(source.parent) == [source.name]


# The other commands


def test_info_names_version_target_and_processor(capsys):
    assert run("info") == 0
    lines = capsys.readouterr().out.splitlines()
    facts = {line[:14].strip(): line[14:].strip() for line in lines}
    assert facts["NumPy"] == np.__version__
    assert facts["target"] in facts["runnable here"].split(", ")
    assert facts["fastsoftmax"] and facts["CPU"]
    assert facts["workers"].startswith(f"{fastsoftmax.get_workers()} by default, ")


@pytest.mark.parametrize("command", COMMANDS)
def test_workers_change_nothing_of_the_file(command, source, tmp_path):
    one, several = tmp_path / "one.npy", tmp_path / "several.npy"
    assert run(command, source, one) == run(command, source, several, "--workers", "3") == 0
    assert one.read_bytes() == several.read_bytes()


def test_a_number_of_workers_that_makes_no_sense_is_refused(source, target, capsys):
    assert run("softmax", source, target, "--workers", "0") == 2
    assert_one_line(capsys.readouterr().err, "workers")
    assert not target.exists()


def test_demo_shows_the_classifier_to_be_good(capsys):
    assert run("demo") == 0
    text = capsys.readouterr().out
    accuracy, held_out_accuracy = (
        float(line.partition("accuracy ")[2].partition("%")[0])
        for line in text.splitlines()
        if "accuracy" in line
    )
    assert 95 < held_out_accuracy < accuracy < 100
    assert "NumPy formula" in text and "microseconds" in text


def test_python_m(source, target):
    words = [sys.executable, "-m", "fastsoftmax", "softmax", str(source), str(target)]
    finished = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == f"{target}: float32, shape (3, 40, 7)\n"
    assert finished.stderr == ""


# Progress


def test_progress_in_a_log_is_at_most_a_line_for_every_tenth(capsys, monkeypatch):
    monkeypatch.setattr(progress._Lines, "QUIET_SECONDS", 0.0)
    with progress.progress("softmax", 1000) as advance:
        for _ in range(1000):
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"softmax: {percent} %" for percent in range(10, 101, 10)]


def test_short_work_shows_no_progress(source, target, capsys):
    assert run("softmax", source, target) == 0
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal_is_a_bar(capsys, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.progress("softmax", 1000) as advance:
        advance(500)
        advance(500)
    assert "softmax" in capsys.readouterr().err
