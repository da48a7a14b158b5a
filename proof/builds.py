"""python -m proof.builds [--quick] [--wheel WHEEL]: one commit, the same archives byte for byte.

(a) The commit is unpacked into two folders whose names differ in length, with files of different
    dates, and built under another umask, home, time zone, language and seed of hashes. That is what
    two machines with the same tools differ in.
(b) Two wheels that differ do so in a member, which is named.
(c) `--wheel` compares with a wheel that was built before, which takes one build instead of two;
    `--quick` makes no wheel at all, and looks into the one given.
(d) The wheel names NumPy as its only requirement, and is then installed beside NumPy alone.
"""

import argparse
import email
import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
failures = []


def fail(text):
    failures.append(text)
    print(f"FAILED: {text}")


def run(command, **options):
    done = subprocess.run(command, check=False, text=True, capture_output=True, **options)
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def git(*arguments):
    return subprocess.run(
        ["git", "-C", CHECKOUT, *arguments], check=True, capture_output=True
    ).stdout


class Place:
    """A folder with the commit in it, and an environment that should not matter."""

    def __init__(self, folder, date, umask, **environment):
        self.source = folder / "source"
        self.home = folder / "home"
        self.umask = umask
        self.home.mkdir(parents=True)
        with tarfile.open(fileobj=io.BytesIO(git("archive", "HEAD"))) as archive:
            # Python 3.11 has filters from its fourth patch on.
            filters = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(self.source, **filters)
        for path in self.source.rglob("*"):
            os.utime(path, (date, date))
        epoch = git("log", "-1", "--format=%ct").decode().strip()
        cache = subprocess.run(
            [sys.executable, "-m", "pip", "cache", "dir"],
            text=True,
            capture_output=True,
            check=False,
        ).stdout.strip()
        self.environment = {
            **{k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            "SOURCE_DATE_EPOCH": epoch,
            "HOME": str(self.home),
            "PIP_CACHE_DIR": cache,
            **environment,
        }

    def build(self, kind, *source):
        """The archive, of a kind that `python -m build` knows."""
        dist = self.home / "dist"
        run(
            [sys.executable, "-m", "build", *options.build, f"--{kind}", "-o", dist, *source],
            cwd=self.source,
            env=self.environment,
            umask=self.umask,
        )
        suffix = {"sdist": "*.tar.gz", "wheel": "*.whl"}[kind]
        (path,) = dist.glob(suffix)
        return path

    def wheel(self, sdist):
        """The wheel from the source distribution, as installers build it."""
        unpacked = self.home / "unpacked"
        with tarfile.open(sdist) as archive:
            archive.extractall(unpacked, filter="data")
        (source,) = unpacked.iterdir()
        return self.build("wheel", source)


def members(path):
    """Name -> all that an archive holds of a file."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return {
                i.filename: (i.date_time, i.external_attr, archive.read(i))
                for i in archive.infolist()
            }
    with tarfile.open(path) as archive:
        return {
            i.name: (i.mtime, i.mode, i.uid, i.uname, archive.extractfile(i).read())
            for i in archive
            if i.isfile()
        }


def compare(a, b):
    kind = a.name
    if a.read_bytes() == b.read_bytes():
        digest = hashlib.sha256(a.read_bytes()).hexdigest()
        print(f"{kind}: {a.stat().st_size:,} bytes, twice the same, sha256 {digest[:16]}")
        return
    first, second = members(a), members(b)
    names = [n for n in sorted({*first, *second}) if first.get(n) != second.get(n)]
    fail(f"{kind}: two builds differ in {names or 'the order or compression of members'}")


def check_nothing_of_the_machine(path, places):
    """No folder, user or name of this machine is in any file."""
    words = {platform.node(), str(Path.home()), str(CHECKOUT)}
    words |= {str(place.source.parent) for place in places}
    words = {word for word in words if len(word) > 3 and word not in ("localhost", "/root")}
    for name, parts in members(path).items():
        for word in words:
            if word.encode() in parts[-1]:
                fail(f"{path.name}: {name} holds {word!r}")


def check_wheel(path):
    """Metadata and bill of materials."""
    files = {name: parts[-1] for name, parts in members(path).items()}
    info = next(name for name in files if name.endswith(".dist-info/METADATA")).rpartition("/")[0]
    metadata = email.message_from_bytes(files[f"{info}/METADATA"])
    needed = [r for r in metadata.get_all("Requires-Dist") if "extra ==" not in r]
    if [r.partition(">")[0] for r in needed] != ["numpy"]:
        fail(f"{path.name} needs {needed}, not NumPy alone")
    record = files[f"{info}/RECORD"].decode()
    bills = [name for name in files if name.startswith(f"{info}/sboms/")]
    if len(bills) != 1 or bills[0] not in record:
        fail(f"{path.name} has no bill of materials: {bills}")
        return
    bill = json.loads(files[bills[0]])
    ours = bill["metadata"]["component"]
    refs = {part["bom-ref"] for part in bill["components"]}
    if (
        bill["bomFormat"] != "CycloneDX"
        or (ours["name"], ours["version"]) != (metadata["Name"], metadata["Version"])
        or {part["name"] for part in bill["components"]} < {"cython", "numpy"}
        or set(bill["dependencies"][0]["dependsOn"]) != refs
        or "timestamp" in bill["metadata"]
        or "serialNumber" in bill
    ):
        fail(f"{path.name}: the bill of materials does not fit: {bill}")
    print(f"{path.name}: needs {needed[0]} alone; {bills[0]} names {len(refs)} components")


def check_with_numpy_alone(path, folder):
    """Install it beside NumPy, and use it."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k != "PIP_QUIET"
    }
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "install", "-q", path], env=environment)
    run([*pip, "check"], env=environment)
    listed = json.loads(run([*pip, "list", "--format=json"], env=environment))
    names = {each["name"] for each in listed} - {"pip", "setuptools"}
    if names != {"numpy", "fastsoftmax"}:
        fail(f"{path.name} installs {names}")
    run([python, "-W", "error", "-m", "fastsoftmax", "demo"], env=environment, cwd=folder)
    code = "import fastsoftmax as f; print(f.softmax([0.0, 0.0], workers=2).tolist())"
    if run([python, "-W", "error", "-c", code], env=environment, cwd=folder) != "[0.5, 0.5]\n":
        fail(f"{path.name} does not compute in an environment of NumPy alone")
    print(f"{path.name}: imported and used beside NumPy alone")


def arguments():
    parser = argparse.ArgumentParser(prog="python -m proof.builds", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two source distributions, no wheel")
    parser.add_argument("--wheel", type=Path, help="one that was built from the same commit")
    parser.add_argument(
        "--no-isolation",
        dest="build",
        action="store_const",
        const=["--no-isolation"],
        default=[],
        help="build with the tools of this environment",
    )
    return parser.parse_args()


def main():
    if git("status", "--porcelain", "--untracked-files=no"):
        print("There are changes that are not committed, and not looked at.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = [
            Place(folder / "one", 1_000_000_000, 0o022, PYTHONHASHSEED="1", TZ="UTC", LC_ALL="C"),
            Place(
                folder / "a folder with a longer name",
                1_700_000_000,
                0o077,
                PYTHONHASHSEED="2",
                TZ="Asia/Tokyo",
                LC_ALL="C.UTF-8",
            ),
        ]
        sdists = [place.build("sdist") for place in places]
        compare(*sdists)
        check_nothing_of_the_machine(sdists[0], places)
        wheels = [options.wheel.resolve()] if options.wheel else []
        if not options.quick:
            first = len(wheels)
            wheels += [p.wheel(s) for p, s in list(zip(places, sdists, strict=True))[first:]]
            compare(*wheels)
        for wheel in wheels[-1:]:
            check_nothing_of_the_machine(wheel, places)
            check_wheel(wheel)
            check_with_numpy_alone(wheel, folder / "environment")
    counts = f"{len(sdists)} source distributions, {len(wheels)} wheels"
    print(f"builds: {counts}, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    options = arguments()
    sys.exit(main())
