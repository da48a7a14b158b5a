"""SciPy's test module for these functions, run with ours in their place."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest
import targets

MODULE = "scipy.special.tests.test_logsumexp"

# Cases that are not run, each with its reason.
EXCLUDED = {
    "test_wrap_radians": "tests a private helper of SciPy and calls none of the three functions",
}


def test_scipys_own_tests_pass(target, tmp_path):
    if importlib.util.find_spec(MODULE) is None:
        pytest.skip("this SciPy was installed without its tests")
    command = [sys.executable, "-m", "pytest", "--pyargs", MODULE, "-p", "scipy_plugin", "-q"]
    command += ["-rf", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    command += ["-k", " and ".join(f"not {case}" for case in EXCLUDED)]
    environment = os.environ | {targets.VARIABLE: target}
    # NumPy alone: SciPy's fixtures would else try other array libraries.
    environment.pop("SCIPY_ARRAY_API", None)
    places = [str(pathlib.Path(__file__).parent), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, places))
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    calls = dict(re.findall(r"^calls of (\w+): (\d+)$", done.stdout, re.MULTILINE))
    assert int(calls["logsumexp"]) > 400
    assert int(calls["softmax"]) > 10
    assert int(calls["log_softmax"]) > 5
