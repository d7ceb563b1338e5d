#!/usr/bin/env bash
# Resolves every lock from locks/*.in. Versions already locked are kept unless --upgrade is given.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/common.sh

python=$(find_python 13)
uv=$(find_uv "$python")
export UV_CUSTOM_COMPILE_COMMAND="make lock"

# lock NAME [OPTION...]: locks/NAME.in -> locks/NAME.lock. Wheels only: no compiler is needed to install.
lock() {
    local name=$1
    shift
    say "locks/$name.lock"
    "$uv" pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_35 --only-binary :all: --generate-hashes \
        --no-emit-index-url --no-emit-find-links --override locks/overrides.txt \
        "$@" "locks/$name.in" -o "locks/$name.lock"
}

cpu=(--constraint locks/versions.txt --override locks/overrides-cpu.txt "$@")
gpu=(--constraint locks/versions.txt "$@")
lock dev-cpu "${cpu[@]}"
# What is already written in the file is preferred: the two kinds of machine differ only where they must.
cp locks/dev-cpu.lock locks/dev-gpu.lock
lock dev-gpu "${gpu[@]}"

# An image gets the very versions that the tests ran with.
for image in curator instructor-cpu judge-cpu; do
    lock "$image" --constraint locks/dev-cpu.lock "${cpu[@]}"
done
for image in instructor trainer judge; do
    lock "$image" --constraint locks/dev-gpu.lock "${gpu[@]}"
done
lock torch --constraint locks/trainer.lock "${gpu[@]}"
lock setup
# Apart from the others: what scans the manifests has its own wishes and meets none of our code.
lock policy "$@"
