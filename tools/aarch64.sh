#!/usr/bin/env bash
# Run the tests as on an aarch64 machine, from another one: the extensions cross-compiled, a Python of that machine
# under user-mode QEMU. For Debian and its relatives.
#
#     tools/aarch64.sh [--folder FOLDER] [PYTEST ARGUMENT...]
#     tools/aarch64.sh [--folder FOLDER] --module MODULE [ARGUMENT...]
#
# (a) Everything goes into FOLDER, build/aarch64 unless given, and is used again by the next run; only a missing cross
#     compiler or emulator is installed in the system, which takes root.
# (b) FOLDER is laid out as a virtual environment of Debian's own Python for aarch64, unpacked beside it. Its `python`
#     is a script that starts the emulator, and what sys.executable names; so tests can start child processes.
# (c) The extensions are compiled with the settings of that Python, which it carries in a module of its own, on a copy
#     of the sources: builds for this machine are neither used nor touched.
# (d) The tests of the vector vocabulary run the emulator themselves and are left out.
# (e) With --module, that module is run in place of pytest, as python -m runs it.
set -euo pipefail

folder=build/aarch64
if [[ ${1:-} == --folder ]]; then
    folder=$2
    shift 2
fi
module=pytest
options=(--ignore=tests/simd)
if [[ ${1:-} == --module ]]; then
    module=$2
    options=()
    shift 2
fi
checkout=$(cd "$(dirname "$0")/.." && pwd)
cd "$checkout"
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
root=$folder/debian

tools() {
    local missing=()
    command -v qemu-aarch64-static >/dev/null || missing+=(qemu-user-static)
    command -v aarch64-linux-gnu-g++ >/dev/null || missing+=(g++-aarch64-linux-gnu)
    if ((${#missing[@]})); then
        apt-get update -qq
        apt-get install -qq --no-install-recommends "${missing[@]}"
    fi
}

# Apt with lists, cache and record of installed packages of its own believes to be on an empty aarch64 machine.
debian_python() {
    [[ -e $root/complete ]] && return
    local apt=$folder/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$root"
    : >"$apt/status"
    local options=(
        -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=
        -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status"
        -o Dir::Cache="$apt/cache" -o Debug::NoLocking=1
    )
    apt-get "${options[@]}" update
    apt-get "${options[@]}" install --no-install-recommends --download-only --yes python3 libpython3-dev libstdc++6
    for package in "$apt"/cache/archives/*.deb; do
        dpkg-deb --extract "$package" "$root"
    done
    rm -r "$apt"
    touch "$root/complete"
}

environment() {
    cat >"$folder/pyvenv.cfg" <<END
home = $root/usr/bin
include-system-site-packages = false
END
    mkdir -p "$folder/bin" "$site"
    cat >"$folder/bin/python" <<END
#!/bin/sh
exec qemu-aarch64-static -L '$root' -0 '$folder/bin/python' '$root/usr/bin/$python' "\$@"
END
    chmod +x "$folder/bin/python"
}

# What this machine builds with, as pyproject.toml asks, and what the tests import there.
requirements() {
    "$folder/host/bin/python" - "$1" <<'END'
import sys, tomllib

with open("pyproject.toml", "rb") as file:
    tables = tomllib.load(file)
project = tables["project"]
names = {
    "build": tables["build-system"]["requires"],
    "test": project["dependencies"] + project["optional-dependencies"]["test"],
}
print(*names[sys.argv[1]], sep="\n")
END
}

packages() {
    [[ -e $folder/host ]] || "${PYTHON:-python3}" -m venv "$folder/host"
    if ! cmp -s pyproject.toml "$folder/pyproject.toml"; then
        requirements build | xargs -d '\n' "$folder/host/bin/python" -m pip install -q
        requirements test | xargs -d '\n' "$folder/host/bin/python" -m pip install -q --target "$site" --upgrade \
            --python-version "${python#python}" --implementation cp --only-binary :all: \
            --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 \
            --platform manylinux2014_aarch64
        cp pyproject.toml "$folder/pyproject.toml"
    fi
}

extensions() {
    local source=$folder/source settings=$folder/settings
    mkdir -p "$source" "$settings"
    rm -rf "${source:?}/src" "$source/dist"
    tar -c --exclude='*.so' --exclude=__pycache__ setup.py pyproject.toml README.md LICENSE src | tar -x -C "$source"
    find "$source"/build/lib* -name '*.py' -delete 2>/dev/null || true
    cp "$root/usr/lib/$python/_sysconfigdata__aarch64-linux-gnu.py" "$settings"
    (
        cd "$source"
        export _PYTHON_HOST_PLATFORM=linux-aarch64 _PYTHON_SYSCONFIGDATA_NAME=_sysconfigdata__aarch64-linux-gnu
        export PYTHONPATH=$settings
        export CPPFLAGS="-I$root/usr/include/$python -idirafter $root/usr/include"
        "$folder/host/bin/python" -m pip wheel -q --no-deps --no-build-isolation --wheel-dir dist .
    )
    rm -rf "$site"/fastsoftmax*
    "$folder/host/bin/python" -m zipfile -e "$source"/dist/*_aarch64.whl "$site"
}

tools
debian_python
python=$(readlink "$root/usr/bin/python3")
site=$folder/lib/$python/site-packages
environment
packages
extensions

unset OPENBLAS_CORETYPE  # it names cores of this machine
"$folder/bin/python" -m fastsoftmax info
"$folder/bin/python" -m "$module" "${options[@]}" "$@"
