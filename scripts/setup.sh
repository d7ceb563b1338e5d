#!/usr/bin/env bash
# Makes .venv from a hash-pinned lock and installs the five distributions into it, editable.
#
# scripts/setup.sh [cpu|gpu]    without a word: gpu where an NVIDIA GPU answers, else cpu
#
# Safe to repeat: it ends at once when lock and distributions are those of the last time. PYTHON=... names the Python
# that a new .venv is made with; to change it, remove .venv first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/common.sh

distributions=(. services/curator services/instructor services/trainer services/judge)

kind=${1:-}
if [ -z "$kind" ]; then
    if nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then kind=gpu; else kind=cpu; fi
fi
# On GPU machines one of vLLM's own dependencies has no build for Python 3.13. Sizes as measured, with room to spare.
case $kind in
cpu) newest_minor=13 needed_gib=8 ;;
gpu) newest_minor=12 needed_gib=11 ;;
*) die "cpu or gpu, not $kind" ;;
esac
lock=locks/dev-$kind.lock

# What the environment is made from; the path belongs to it, because an environment's scripts name it.
fingerprint() {
    { printf '%s\n%s\n' "$PWD" "$kind"; cat "$lock" "${distributions[@]/%//pyproject.toml}"; } | sha256sum | cut -d ' ' -f 1
}

stamp=.venv/.made-from
wanted=$(fingerprint)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then
    exit 0
fi

started=$SECONDS
python=$(find_python "$newest_minor")
uv=$(find_uv "$python")
say "Setting up .venv for $kind: about $needed_gib GB, minutes the first time, seconds from a cache"
in_range="import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $newest_minor))"
if ! .venv/bin/python -c "$in_range" 2>/dev/null; then
    free_gib=$(($(df -Pk . | awk 'NR == 2 { print $4 }') / 1024 / 1024))
    [ "$free_gib" -ge "$needed_gib" ] ||
        die "about $needed_gib GB of free disk are needed in $PWD, there are $free_gib GB. Free some, or clone elsewhere."
    "$uv" venv --quiet --clear --python "$python" .venv
fi
rm -f "$stamp"

# install PIP-COMMAND...: on a terminal with progress bars, in a log without the list of every package.
install() {
    if [ -t 2 ]; then
        "$uv" pip "$@" --python .venv/bin/python
    else
        "$uv" pip "$@" --python .venv/bin/python 2>&1 | sed '/^ [-+~] /d'
    fi
}
say "Installing $(grep -c '==' "$lock") packages from $lock"
# `sync` also removes what the lock no longer has, for instance the other kind's vLLM.
install sync --require-hashes --only-binary :all: "$lock"
say "Installing longstream and its four services from this folder"
editable=()
for distribution in "${distributions[@]}"; do editable+=(--editable "$distribution"); done
install install --quiet --no-deps --no-build-isolation "${editable[@]}"
# Left by the build in the source folders, where an outdated one would shadow the installed entry points.
rm -rf -- ./*.egg-info services/*/*.egg-info
printf '%s\n' "$wanted" >"$stamp"
say "Ready after $((SECONDS - started)) s; longstream is .venv/bin/longstream"
