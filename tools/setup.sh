#!/bin/sh
# Makes the virtual environment for `make`: with uv where it is installed, else with venv and pip alone.
set -eu

PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}

fail() {
    printf 'headrace: %s\n' "$@" >&2
    exit 1
}

uses_uv() {
    command -v uv >/dev/null 2>&1
}

require_python() {
    command -v "$PYTHON" >/dev/null 2>&1 ||
        fail "$PYTHON was not found." "On Debian or Ubuntu: apt-get install python3 python3-venv"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Python 3.11 or newer is needed, and $PYTHON is $("$PYTHON" --version 2>&1)." \
            "Name another one: make setup PYTHON=python3.12"
}

require_venv() {
    "$PYTHON" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
        fail "$PYTHON cannot make virtual environments: its venv or ensurepip module is missing." \
            "On Debian or Ubuntu: apt-get install python3-venv"
}

make_environment() {
    if uses_uv; then
        uv venv --quiet --python "$PYTHON" "$VENV"
    else
        require_python
        require_venv
        "$PYTHON" -m venv "$VENV"
    fi
}

install_packages() {
    if uses_uv; then
        uv pip install --quiet --python "$VENV/bin/python" --constraint constraints.txt --editable '.[test,lint]'
    else
        "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || "$VENV/bin/python" -m ensurepip >/dev/null
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
            --constraint constraints.txt --editable '.[test,lint]'
    fi
}

# An environment that was moved, or whose interpreter is gone, is made anew.
if ! "$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
    rm -rf "$VENV"
    echo "Making $VENV ..."
    make_environment
fi
echo "Installing the package, its tests and its linters into $VENV ..."
install_packages
