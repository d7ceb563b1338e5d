# Shared by the scripts beside it: messages, and an installer. Sourced, never run.
# shellcheck shell=bash

say() { printf '==> %s\n' "$*"; }
die() {
    printf '\nError: %s\n' "$*" >&2
    exit 1
}

# find_python NEWEST_MINOR: prints the first Python from 3.11 to 3.NEWEST_MINOR; $PYTHON, if set, is the only candidate.
find_python() {
    local candidate check="import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $1))"
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
        if "$candidate" -c "$check" 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    candidate=${PYTHON:-python3}
    die "Python 3.11 to 3.$1 is needed; $candidate is $("$candidate" --version 2>/dev/null || echo missing)." \
        "Install one, or name one: PYTHON=python3.11 make setup"
}

# find_uv PYTHON: prints the path of a uv: the one on PATH if it runs, else a pinned one in an environment of its own.
find_uv() {
    local tools=$PWD/.venv-tools
    if uv --version >/dev/null 2>&1; then
        command -v uv
        return
    fi
    if ! "$tools/bin/uv" --version >/dev/null 2>&1; then
        say "Fetching the installer (uv)" >&2
        "$1" -m venv --clear "$tools" >&2 ||
            die "$1 cannot make environments; on Debian and Ubuntu install python3-venv."
        "$tools/bin/python" -m pip install --quiet --require-hashes --no-deps -r locks/setup.lock >&2
    fi
    printf '%s\n' "$tools/bin/uv"
}
